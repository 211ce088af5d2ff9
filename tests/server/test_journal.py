"""The log: one JSON object a line, safe whatever the peer said."""

import io
import json
from pathlib import Path
from typing import cast

import pytest

from proxyspec_server.journal import Journal, Step


def entries(stream: io.BytesIO) -> list[dict[str, object]]:
    return [cast("dict[str, object]", json.loads(line)) for line in stream.getvalue().splitlines()]


def test_an_entry_is_one_ascii_line() -> None:
    stream = io.BytesIO()
    journal = Journal(stream, clock=lambda: 1_700_000_000.25)
    journal.record(Step.HELO, name="a\r\n\x1b[2Jé", ok=True, size=3, none=None, names=["x\ny"])
    assert stream.getvalue().count(b"\n") == 1
    assert stream.getvalue().isascii()
    assert entries(stream) == [
        {
            "time": "2023-11-14T22:13:20.250+00:00",
            "event": "helo",
            "name": r"a\r\n\x1b[2J\xe9",
            "ok": True,
            "size": 3,
            "none": None,
            "names": [r"x\ny"],
        }
    ]


def test_strings_are_bounded() -> None:
    stream = io.BytesIO()
    Journal(stream).record(Step.HELO, name="x" * 100_000)
    assert len(stream.getvalue()) < 600


def test_none_discards() -> None:
    journal = Journal.open("none")
    assert not journal.enabled
    journal.record(Step.HELO, name="x")
    journal.close()


def test_a_path_is_appended_to_and_readable_at_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text('{"event":"before"}\n')
    journal = Journal.open(str(path))
    journal.record(Step.STOPPED)
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["before", "stopped"]
    journal.close()


def test_a_stream_that_fails_silences_the_log_and_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    class Full(io.BytesIO):
        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    journal = Journal(Full())
    journal.record(Step.STOPPED)
    journal.record(Step.STOPPED)
    assert capsys.readouterr().err == "the log cannot be written any more: No space left on device\n"
    assert not journal.enabled
