"""The run directory: a stream of events while a run goes on, one record at its end, evidence beside them."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from types import TracebackType

from pydantic import BaseModel

from proxyspec.errors import HarnessError, UsageError

__all__ = ["DEFAULT_PARENT", "RunDirectory"]

DEFAULT_PARENT = Path("reports/out")


class RunDirectory:
    """A directory that belongs to one run: `events.ndjson`, `run.json`, `evidence/`.

    Use it as a context manager; every event is on disk when `event` returns, so an aborted run keeps what it has.
    """

    def __init__(self, path: Path, run_id: str) -> None:
        self.path = path
        self.id = run_id
        self._events: FileIO | None = None

    @classmethod
    def create(cls, kind: str, path: Path | None) -> RunDirectory:
        """Make the directory: `path`, or a new one below `reports/out/` of the current directory.

        Raises:
            UsageError: it exists and is not empty, or cannot be made.
        """
        run_id = f"{kind}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        path = path if path is not None else DEFAULT_PARENT / run_id
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise UsageError(f"--out {path} is not empty: name a new directory, a run never overwrites another")
        except OSError as error:
            raise UsageError(
                f"the run directory {path} cannot be made: {error.strerror}; name another with --out"
            ) from error
        return cls(path, run_id)

    def __enter__(self) -> RunDirectory:
        try:
            self._events = FileIO(self.path / "events.ndjson", "a")
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}; name another with --out") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._events is not None:
            self._events.close()
            self._events = None

    def event(self, name: str, fields: Mapping[str, object] | BaseModel) -> None:
        """Append one event.

        Raises:
            HarnessError: the disk is full or gone.
        """
        assert self._events is not None, "use the run directory as a context manager"
        values = fields.model_dump(mode="json") if isinstance(fields, BaseModel) else dict(fields)
        line = {"event": name, "time": datetime.now(UTC).isoformat(timespec="milliseconds"), **values}
        try:
            self._events.write(json.dumps(line).encode() + b"\n")
        except OSError as error:
            raise HarnessError(f"{self.path / 'events.ndjson'} cannot be written: {error.strerror}") from error

    def write(self, name: str, text: str) -> Path:
        """Write a file below the directory, whole or not at all; return its path.

        Raises:
            HarnessError: the disk is full or gone.
        """
        path = self.path / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", encoding="utf-8", errors="backslashreplace", dir=path.parent, prefix=f".{path.name}.", delete=False
            ) as draft:
                try:
                    draft.write(text)
                    draft.flush()
                    Path(draft.name).chmod(0o644)
                    Path(draft.name).replace(path)
                except BaseException:
                    Path(draft.name).unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise HarnessError(f"{path} cannot be written: {error.strerror}") from error
        return path

    def record(self, run: BaseModel) -> Path:
        """Write `run.json`; return its path."""
        return self.write("run.json", run.model_dump_json(indent=1) + "\n")
