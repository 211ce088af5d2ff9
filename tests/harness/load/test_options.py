from __future__ import annotations

from pathlib import Path

import pytest

from proxyspec.errors import UsageError
from proxyspec.load import LoadOptions
from proxyspec.load.options import (
    AuthMechanism,
    Login,
    SessionOptions,
    parse_duration,
    parse_login,
    parse_sources,
    read_message,
)


@pytest.mark.parametrize(("text", "seconds"), [("15", 15), ("15s", 15), (" 2m ", 120), ("1h", 3600)])
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-1", "1.5s", "15 s", "1d", "9999999", "١"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="--time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("users", 0),
        ("users", 100_001),
        ("spawn_rate", 0),
        ("seconds", 0.5),
        ("message_size", 255),
        ("sender", "a b@c"),
        ("processes", 65),
        ("messages", 0),
        ("auth", "x"),
        ("sources", ("x",)),
        ("message_file", Path("/nonsuch")),
    ],
)
def test_choices_have_limits(field: str, value: object) -> None:
    with pytest.raises(UsageError):
        LoadOptions(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("mailbox", ["a@b>\r\nDATA", "a@b\n", "", "ä@b", "@b", "a@"])
def test_no_mailbox_smuggles_a_command(mailbox: str) -> None:
    with pytest.raises(UsageError, match="mailbox"):
        SessionOptions(recipient=mailbox)


def test_a_login_may_have_colons_in_its_password() -> None:
    assert parse_login("plain:user@x.example:a:b") == Login(AuthMechanism.PLAIN, "user@x.example", "a:b")
    assert parse_login("login:u:") == Login(AuthMechanism.LOGIN, "u", "")


@pytest.mark.parametrize(
    "text", ["", "plain", "plain:secret", "plain::secret", "cram-md5:u:secret", "plain:u:sec\0ret"]
)
def test_a_broken_login_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError, match="--auth") as caught:
        parse_login(text)
    assert "secret" not in str(caught.value)


def test_sources_are_addresses_and_the_hosts_of_networks() -> None:
    assert parse_sources(["127.0.0.9", "127.0.1.0/30", "::1"]) == ("127.0.0.9", "127.0.1.1", "127.0.1.2", "::1")


@pytest.mark.parametrize("text", ["", "localhost", "127.0.0.1/8", "127.0.0.0/8", "::/0"])
def test_what_is_no_source_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="--source"):
        parse_sources([text])


def test_a_message_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "m").write_bytes(b"Subject: x\n\n.\n")
    (tmp_path / "empty").touch()
    assert read_message(tmp_path / "m") == b"Subject: x\n\n.\n"
    for path in (tmp_path / "none", tmp_path / "empty", tmp_path):
        with pytest.raises(UsageError, match="--message-file"):
            read_message(path)
