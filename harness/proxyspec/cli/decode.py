"""`proxyspec decode`: bytes read as a PROXY header, field by field."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli.fields import field_lines
from proxyspec.errors import ExitCode, UsageError

__all__ = ["decode"]

#: Bytes read of a file or of standard input; the longest header is a thousandth of it.
MOST_BYTES = 64 * 1024 * 1024
#: Bytes of one input that are read as a header and what follows it.
SHOWN = 68 * 1024


def decode(
    source: Annotated[
        str, typer.Argument(metavar="HEX|FILE|PCAP|-", help="What to read; - is standard input.", show_default=False)
    ],
) -> int:
    """Read bytes as a PROXY header and name every field of it, and what is wrong with them.

    Takes hexadecimal digits, a file of bytes or of digits, or a capture (pcap, pcapng) whose every TCP stream is read.

    Examples:

      proxyspec decode 50524f585920544350342031...

      printf 'PROXY UNKNOWN\\r\\n' | proxyspec decode -

      proxyspec decode trace.pcapng
    """
    from proxyspec.hexinput import looks_like_hex, parse_hex

    path = Path(source)
    if source == "-":
        data = sys.stdin.buffer.read(MOST_BYTES + 1)
        name = "standard input"
    elif _is_file(path):
        data, name = _read(path), source
    elif looks_like_hex(source):
        _print(parse_hex(source))
        return ExitCode.OK
    else:
        raise UsageError(f"{source[:80]!r} is no file and no hexadecimal digits: write for instance 50524f5859, or -")
    if not data:
        raise UsageError(f"{name} is empty: there is nothing to decode")
    from proxyspec.captures import is_capture

    if is_capture(data):
        if source == "-" or not path.is_file():
            raise UsageError(f"a capture has to be a file, and {name} is none: name the file itself")
        _print_capture(path)
        return ExitCode.OK
    if len(data) > MOST_BYTES:
        raise UsageError(f"{name} is larger than {MOST_BYTES} bytes: not a header")
    text = data.decode("ascii", errors="replace")
    _print(parse_hex(text) if looks_like_hex(text) else data)
    return ExitCode.OK


def _is_file(path: Path) -> bool:
    """Tell whether there are bytes behind this name: a file's, a pipe's or a device's."""
    try:
        return path.exists() and not path.is_dir()
    except OSError:  # a name longer than any file's
        return False


def _read(path: Path) -> bytes:
    from proxyspec.captures import is_capture

    try:
        with path.open("rb") as file:
            start = file.read(4)
            return start if is_capture(start) else start + file.read(MOST_BYTES)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _print(data: bytes) -> None:
    print(f"{len(data)} bytes")
    for line in field_lines(data[:SHOWN]):
        print(line)


def _print_capture(path: Path) -> None:
    from proxyspec.captures import streams_of

    streams = streams_of(path)
    if not streams:
        raise UsageError(f"{path} holds no TCP connection")
    for number, stream in enumerate(streams, 1):
        (here, port), (there, to_port) = stream.client, stream.server
        missing = "" if stream.complete else ", whose beginning is not in the capture"
        print(f"stream {number}: {here} {port} to {there} {to_port}{missing}")
        for line in field_lines(stream.first[:SHOWN], "  ") if stream.first else ["  it sent nothing"]:
            print(line)
