"""The standard streams of a command: closed, on a full disk, without a reader or in ASCII, they never end a run."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

from proxyspec.errors import UsageError

__all__ = ["lasting", "loss", "require_stdout", "write_result"]


class _Lasting(io.RawIOBase):
    """A descriptor one can always write to: from the first error on nothing arrives, and the error is kept."""

    def __init__(self, descriptor: int, error: OSError | None) -> None:
        self._descriptor = descriptor
        self.error = error

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def write(self, data: object, /) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        while self.error is None:
            try:
                return os.write(self._descriptor, view)
            except BlockingIOError:
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.error = error
        return view.nbytes


def _occupy() -> set[int]:
    """Put the null device where a standard descriptor is closed, lest a file of a run gets its number; return which."""
    closed = set()
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            closed.add(descriptor)
            # The lowest free number is this one.
            os.open(os.devnull, os.O_RDWR)
    return closed


def _wrapped(descriptor: int, old: TextIO | None, *, closed: bool) -> io.TextIOWrapper:
    error = OSError(errno.EBADF, "it is closed") if closed else None
    return io.TextIOWrapper(
        io.BufferedWriter(_Lasting(descriptor, error)),
        encoding=old.encoding if old is not None else "utf-8",
        # What the terminal cannot show is spelt out, as Python does on standard error.
        errors="backslashreplace",
        line_buffering=descriptor == 2 or os.isatty(descriptor),
        write_through=descriptor == 2,
    )


def _error_of(stream: TextIO) -> OSError | None:
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.error if isinstance(raw, _Lasting) else None


@contextlib.contextmanager
def lasting() -> Iterator[None]:
    """Make the standard streams of the process lasting; those that somebody has put in their place stay as they are."""
    out, err = sys.stdout, sys.stderr
    if out is not sys.__stdout__ or err is not sys.__stderr__:
        yield
        return
    closed = _occupy()
    for old in (out, err):
        if old is not None:
            old.flush()
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it is the process's own
    sys.stdout, sys.stderr = _wrapped(1, out, closed=1 in closed), _wrapped(2, err, closed=2 in closed)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        sys.stdout, sys.stderr = out, err


def loss() -> str | None:
    """Say what standard output did not take; a reader that left, or a stream that nobody opened, wanted no more."""
    sys.stdout.flush()
    error = _error_of(sys.stdout)
    if error is None or error.errno in (errno.EPIPE, errno.EBADF):
        return None
    return f"standard output cannot be written: {error.strerror}; send it to another place"


def require_stdout() -> None:
    """See before a result goes to standard output that there is one.

    Raises:
        UsageError: it is closed.
    """
    error = _error_of(sys.stdout)
    if error is not None and error.errno == errno.EBADF:
        raise UsageError("standard output is closed, and a result was to go there: name a file")


def write_result(text: str) -> None:
    """Write a result to standard output, in UTF-8 whatever the locale is.

    Raises:
        UsageError: it is closed.
    """
    require_stdout()
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode())
    sys.stdout.flush()
