"""The run directory: a stream of events while a run goes on, one record at its end, evidence beside them."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType

from pydantic import BaseModel

from proxyspec.errors import HarnessError, UsageError
from proxyspec.wholefile import write_whole

__all__ = ["DEFAULT_PARENT", "RunDirectory", "has_record", "is_own_file"]

DEFAULT_PARENT = Path("reports/out")
_EVENTS = "events.ndjson"
_RECORD = "run.json"


def has_record(run: Path) -> bool:
    """Tell whether a run in this directory has come to its record."""
    return (run / _RECORD).exists()


def is_own_file(path: Path, run: Path) -> bool:
    """Tell whether `path` is what a run in the directory `run`, or below it, writes itself."""
    where = path.resolve()
    return where.name in (_EVENTS, _RECORD) and run.resolve() in where.parents


def _unwritable(path: Path, error: OSError) -> HarnessError:
    return HarnessError(f"{path} cannot be written: {error.strerror or error}; make room, or name another place")


def _append(file: FileIO, line: bytes) -> None:
    """Write a whole line; a disk that takes a part of it only is full."""
    if file.write(line) != len(line):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class RunDirectory:
    """A directory that belongs to one run: `events.ndjson`, `run.json`, `evidence/`.

    Use it as a context manager; every event is on disk when `event` returns, so an aborted run keeps what it has. A
    disk that fills up ends no run: within the context what no longer fits goes to a directory below the temporary one,
    which the error at the end names.
    """

    def __init__(self, path: Path, run_id: str, *, made: bool = False) -> None:
        self.path = path
        self.id = run_id
        self._made = made
        self._events: FileIO | None = None
        self._told = 0
        self._spare: Path | None = None
        self._reason = ""

    @classmethod
    def create(cls, kind: str, path: Path | None) -> RunDirectory:
        """Make the directory: `path`, or a new one below `reports/out/` of the current directory.

        Raises:
            UsageError: it exists and is not empty, or cannot be made.
        """
        run_id = f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        path = path if path is not None else DEFAULT_PARENT / run_id
        made = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise UsageError(f"--out {path} is not empty: name a new directory, a run never overwrites another")
        except OSError as error:
            raise UsageError(
                f"the run directory {path} cannot be made: {error.strerror}; name another with --out"
            ) from error
        return cls(path, run_id, made=made)

    def __enter__(self) -> RunDirectory:
        try:
            self._events = FileIO(self.path / _EVENTS, "a")
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}; name another with --out") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise HarnessError if something lies elsewhere; an interrupt is passed on as it is.

        Without an event there is no stream, and what ends before it has begun leaves no directory behind.
        """
        if self._events is not None:
            self._events.close()
            self._events = None
        # A usage error right behind the first event, which says what is to be run, is one before it has begun.
        if self._told <= (1 if isinstance(error, UsageError) else 0):
            self._clear()
        if self._spare is not None and (kind is None or issubclass(kind, Exception)):
            words = f"{error}; and {self.path}" if error is not None else str(self.path)
            raise HarnessError(
                f"{words} cannot be written: {self._reason}; "
                f"what did not fit is in {self._spare}: make room and move it there"
            ) from error

    def _clear(self) -> None:
        """Take away the stream, and the directory if it was made for this run and nothing else is in it."""
        with contextlib.suppress(OSError):
            (self.path / _EVENTS).unlink(missing_ok=True)
            if self._made:
                self.path.rmdir()

    def _elsewhere(self, error: OSError) -> Path:
        """Return the directory for what does not fit, made when it is first needed.

        Raises:
            HarnessError: it cannot be made either.
        """
        if self._spare is None:
            try:
                self._spare = Path(tempfile.mkdtemp(prefix=f"proxyspec-{self.id}-"))
            except OSError as another:
                raise _unwritable(self.path, error) from another
            self._reason = error.strerror or str(error)
        return self._spare

    def event(self, name: str, fields: Mapping[str, object] | BaseModel) -> None:
        """Append one event.

        Raises:
            HarnessError: the disk is full or gone, and so is the temporary one.
        """
        assert self._events is not None, "use the run directory as a context manager"
        values = fields.model_dump(mode="json") if isinstance(fields, BaseModel) else dict(fields)
        self._told += 1
        line = {"event": name, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        whole = json.dumps(line).encode() + b"\n"
        try:
            _append(self._events, whole)
        except OSError as error:
            path = self._elsewhere(error) / _EVENTS
            self._events.close()
            try:
                self._events = FileIO(path, "a")
                _append(self._events, whole)
            except OSError as another:
                raise _unwritable(path, another) from another

    def write(self, name: str, text: str) -> Path:
        """Write a file below the directory, whole or not at all; return its path.

        Raises:
            HarnessError: the disk is full or gone, and so is the temporary one, or the context is not entered.
        """
        try:
            return write_whole(self.path / name, text)
        except OSError as error:
            if self._events is None:
                raise _unwritable(self.path / name, error) from error
            spare = self._elsewhere(error) / name
        try:
            return write_whole(spare, text)
        except OSError as error:
            raise _unwritable(spare, error) from error

    def record(self, run: BaseModel) -> Path:
        """Write `run.json`; return its path."""
        return self.write(_RECORD, run.model_dump_json(indent=1) + "\n")
