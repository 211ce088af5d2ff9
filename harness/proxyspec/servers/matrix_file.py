"""The matrix file: which servers, behind which HAProxies, over which roads, by which cases."""

from __future__ import annotations

import enum
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from proxyspec.errors import UsageError

__all__ = ["Entry", "MatrixFile", "Topology", "load_matrix"]

_MAX_FILE = 1024 * 1024


class Topology(enum.StrEnum):
    """The roads to a server that a matrix takes; each is a tag of the cases that go along it."""

    DIRECT = "direct"
    RELAY = "relay"
    CHAIN = "chain"
    CHECK = "check"


class Entry(BaseModel):
    """One server: one there is an adapter for, or one that a target profile describes."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    server: str | None = Field(default=None, description="NAME or NAME@VERSION of `proxyspec servers list`")
    target: str | None = Field(default=None, description="target profile of a server that runs; relative to this file")
    name: str | None = Field(default=None, max_length=100, description="what the report calls it")
    without: list[str] = Field(default=[], alias="not", description="cases that are not for it, as --not names them")
    header_timeout: float | None = Field(default=None, gt=0, le=3600, description="its header deadline, seconds")
    alone: bool = Field(default=False, description="no other cell runs beside its own: it leaves others no processor")

    @model_validator(mode="after")
    def _one_of_two(self) -> Entry:
        if (self.server is None) == (self.target is None):
            raise ValueError("give either server or target")
        if self.target is not None and self.header_timeout is not None:
            raise ValueError("header_timeout of a target stands in its profile")
        return self

    @property
    def label(self) -> str:
        """What the matrix calls it."""
        return self.name or self.server or Path(self.target or "").stem


class MatrixFile(BaseModel):
    """The whole file."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    servers: list[Entry] = Field(min_length=1, description="the rows")
    haproxy: list[str] = Field(
        default=[], description="the columns, as --haproxy names them; matrix: all that are here"
    )
    topologies: list[Topology] = Field(default=list(Topology), min_length=1, description="roads to judge along")
    cases: list[str] = Field(default=[], description="only these cases, as --case names them")
    without: list[str] = Field(default=[], alias="not", description="but not these, as --not names them")
    repeat: int = Field(default=1, ge=1, le=20, description="how often each cell is judged; verdicts that differ fail")
    parallel: int | None = Field(default=None, ge=1, le=64, description="cells at once; left out: by the cores")


def load_matrix(path: Path) -> MatrixFile:
    """Read a matrix file.

    Raises:
        UsageError: it cannot be read, is no TOML, a key is wrong, or two servers are called alike.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE + 1)
        if len(text) > _MAX_FILE:
            raise UsageError(f"{path} is larger than {_MAX_FILE} bytes: not a matrix file")
        matrix = MatrixFile.model_validate(tomllib.loads(text.decode()))
    except OSError as error:
        raise UsageError(f"the matrix file {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML file: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        known = ", ".join(field.alias or name for name, field in MatrixFile.model_fields.items())
        own = ", ".join(field.alias or name for name, field in Entry.model_fields.items())
        more = f"; the keys are {known}, and in [[servers]] {own}"
        said = first["msg"] + (more if first["type"] == "extra_forbidden" else "")
        raise UsageError(f"{path}: {where}: {said}") from error
    labels = [entry.label for entry in matrix.servers]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise UsageError(f"{path}: two servers are called {twice[0]!r}: give one of them a name")
    here = path.parent
    found = [e if e.target is None else e.model_copy(update={"target": str(here / e.target)}) for e in matrix.servers]
    if any(Topology(each) is not Topology.DIRECT for each in matrix.topologies) and not matrix.haproxy:
        roads = [each for each in matrix.topologies if each is Topology.DIRECT]
        if not roads:
            raise UsageError(f'{path}: relay, chain and check need haproxy = […], for instance ["auto"]')
        matrix = matrix.model_copy(update={"topologies": roads})
    return matrix.model_copy(update={"servers": found})
