from __future__ import annotations

import pytest

from proxyspec.errors import UsageError
from proxyspec.load import LoadOptions
from proxyspec.load.options import SessionOptions, parse_duration


@pytest.mark.parametrize(("text", "seconds"), [("15", 15), ("15s", 15), (" 2m ", 120), ("1h", 3600)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1.5s", "15 s", "1d", "9999999", "١"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="--time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [("users", 0), ("users", 100_001), ("spawn_rate", 0), ("seconds", 0.5), ("message_size", 255), ("sender", "a b@c")],
)
def test_choices_have_limits(field: str, value: object) -> None:
    with pytest.raises(UsageError):
        LoadOptions(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("mailbox", ["a@b>\r\nDATA", "a@b\n", "", "ä@b", "@b", "a@"])
def test_no_mailbox_smuggles_a_command(mailbox: str) -> None:
    with pytest.raises(UsageError, match="mailbox"):
        SessionOptions(recipient=mailbox)
