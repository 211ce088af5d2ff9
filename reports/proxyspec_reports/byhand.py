"""A case as a line for the shell, so that a failure can be seen without proxyspec."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from urllib.parse import urlsplit

__all__ = ["by_hand", "printf_argument"]

#: A longer or choppier dialogue makes no line that anybody would paste.
_MOST_BYTES = 2048
_MOST_SEGMENTS = 8

_NAMED = {0x0A: "\\n", 0x0D: "\\r", 0x25: "%%", 0x5C: "\\\\"}


def by_hand(target: str, segments: Sequence[tuple[float, bytes]], source: str | None = None) -> str | None:
    """Return a pipeline of `printf` and `nc` that sends the segments to the target.

    Args:
        target: `smtp://HOST:PORT`.
        segments: what is sent, each with its time in seconds since the connection; gaps become `sleep`.
        source: local address to connect from.

    Returns:
        The line, or None if the target has no host and port or the dialogue is too long for a line.
    """
    try:
        url = urlsplit(target)
        host, port = url.hostname, url.port
    except ValueError:
        return None
    if host is None or port is None:
        return None
    if len(segments) > _MOST_SEGMENTS or sum(len(data) for _, data in segments) > _MOST_BYTES:
        return None
    connect = shlex.join(["nc", *(["-s", source] if source else []), host, str(port)])
    if not segments:
        return connect
    commands: list[str] = []
    before = segments[0][0]
    for at, data in segments:
        if commands:
            commands.append(f"sleep {max(at - before, 0.01):.2f}")
        commands.append(f"printf {printf_argument(data)}")
        before = at
    sender = commands[0] if len(commands) == 1 else "{ " + "; ".join(commands) + "; }"
    return f"{sender} | {connect}"


def printf_argument(data: bytes) -> str:
    """Quote `data` as the format operand of POSIX `printf`, which then writes exactly these bytes."""
    # A leading hyphen would be read as an option.
    head = "\\055" if data[:1] == b"-" else ""
    return "'" + head + "".join(map(_escape, data[1:] if head else data)) + "'"


def _escape(byte: int) -> str:
    if byte in _NAMED:
        return _NAMED[byte]
    return chr(byte) if 0x20 <= byte < 0x7F and byte != 0x27 else f"\\{byte:03o}"
