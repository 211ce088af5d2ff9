"""Records of every kind read from a run directory, and the schema of them all."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from proxyspec.records.base import SCHEMA_VERSION, ScenarioRun
from proxyspec.records.checks import ChecksRun
from proxyspec.records.conformance import ConformanceRun
from proxyspec.records.haproxy_file import HAProxyFileRun
from proxyspec.records.load import LoadRun
from proxyspec.records.matrix import MatrixRun
from proxyspec.records.mutants import MutantsRun
from proxyspec.records.page import PageRun
from proxyspec.records.sender import SenderRun
from proxyspec.records.traffic import TrafficRun

__all__ = ["InvalidRun", "Run", "load_run", "run_schema"]

#: A run directory may come from anybody: a record larger than this is refused unread.
MAX_RECORD_BYTES = 512 * 1024 * 1024

#: A run of any kind: against one target, or of scenarios.
Run = ConformanceRun | LoadRun | ScenarioRun

#: Every kind a record may be of, told apart by `kind`; a new kind is one more name here.
_Stored = (
    ConformanceRun | LoadRun | TrafficRun | HAProxyFileRun | MutantsRun | SenderRun | ChecksRun | MatrixRun | PageRun
)


@cache
def _adapter() -> TypeAdapter[_Stored]:
    return TypeAdapter(Annotated[_Stored, Field(discriminator="kind")])


class InvalidRun(Exception):
    """A run directory or record cannot be read; the message names it and the remedy."""


def load_run(path: Path) -> Run:
    """Read the record of a run directory (or of a `run.json` named directly).

    Raises:
        InvalidRun: there is no record, it is no run record, or it is of another schema version.
    """
    record = path / "run.json" if path.is_dir() else path
    try:
        if record.stat().st_size > MAX_RECORD_BYTES:
            raise InvalidRun(f"{record} is larger than {MAX_RECORD_BYTES} bytes: not a run record")
        text = record.read_bytes()
    except OSError as error:
        raise InvalidRun(
            f"{path} holds no run record ({error.strerror or error}): name a directory that `proxyspec run` or "
            "`proxyspec load` wrote"
        ) from error
    try:
        return _adapter().validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise InvalidRun(
            f"{record} is not a run record of schema version {SCHEMA_VERSION}: {first['msg']} at {where} "
            f"({error.error_count()} problem(s)); was it cut short, or written by another version?"
        ) from error


def run_schema() -> str:
    """Return the JSON Schema of `run.json`, indented."""
    schema = _adapter().json_schema(mode="serialization")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "proxyspec run record", **schema}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
