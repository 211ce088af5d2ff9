"""The run record: what `run.json` holds, as pydantic models that are also its published schema."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from proxyspec.model import Disposition, Ending, EventKind, Level, OutcomeKind, Source, Timing, Verdict, Via

__all__ = [
    "SCHEMA_VERSION",
    "BaselineRecord",
    "CaseRecord",
    "ConformanceRun",
    "Environment",
    "EventRecord",
    "HAProxyRecord",
    "InvalidRun",
    "LoadError",
    "LoadPoint",
    "LoadRun",
    "LoadStep",
    "OutcomeRecord",
    "Run",
    "TargetRecord",
    "Threshold",
    "load_run",
    "run_schema",
]

SCHEMA_VERSION = 1

#: A run directory may come from anybody: a record larger than this is refused unread.
MAX_RECORD_BYTES = 512 * 1024 * 1024


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class TargetRecord(_Record):
    """The server that was judged or loaded."""

    url: str = Field(description="smtp://HOST:PORT")
    header_timeout: float = Field(description="declared header deadline, seconds from accept")
    trusted_source: str | None = Field(description="local address that played the trusted proxy")
    untrusted_source: str | None = Field(description="local address that played an unlisted peer; null: none declared")
    versions: list[int] = Field(description="header versions the target declares")
    oracle: str = Field(description="what told whom the target believes to be talking to; 'none' if nothing did")
    capabilities: list[str] = Field(default=[], description="what it declares or shows to have; no-… what it lacks")
    tls_port: int | None = Field(default=None, description="port whose connections begin with TLS")


class HAProxyRecord(_Record):
    """The HAProxy that stood in front of the target."""

    engine: Literal["docker", "binary"] = Field(description="how it ran")
    version: str = Field(description="what `haproxy -v` says")
    description: str = Field(description="image or binary, for people")
    why: str = Field(description="why this engine was taken")
    config: str = Field(description="path of the rendered haproxy.cfg, relative to the run directory")
    log: str = Field(description="path of its log, relative to the run directory")


class Environment(_Record):
    """Where the run took place."""

    proxyspec: str = Field(description="version of proxyspec")
    python: str = Field(description="version of Python")
    platform: str = Field(description="operating system and machine")
    haproxy: HAProxyRecord | None = Field(description="null: nothing went through HAProxy")


class EventRecord(_Record):
    """One entry of a transcript."""

    at: float = Field(description="seconds since the connection was asked for")
    kind: EventKind
    hex: str = Field(default="", description="the bytes, in hexadecimal")
    note: str = ""


class OutcomeRecord(_Record):
    """What happened on the connection."""

    kind: OutcomeKind
    address: str | None = Field(default=None, description="whom the target believed to be talking to")
    port: int | None = None
    code: int | None = Field(default=None, description="code of the reply that refused the connection")
    greeted: bool = Field(default=False, description="a 220 went out although no usable session followed")
    after: float | None = Field(default=None, description="seconds from the case's last byte to the rejection")
    text: str = Field(description="the outcome in words")


class CaseRecord(_Record):
    """One case, judged."""

    id: str
    title: str = Field(description="what a conformant receiver does, in one sentence")
    section: str = Field(description="section of the PROXY protocol text, or an RFC")
    level: Level
    via: Via
    source: Source
    timing: Timing
    accepts: list[str] = Field(description="the outcomes that conform, in words")
    control: str | None = Field(description="the case that must be accepted for this one to count")
    verdict: Verdict
    outcome: OutcomeRecord | None = Field(description="null: the case did not run")
    reason: str = Field(description="why the verdict is what it is, in one sentence")
    ending: Ending = Field(description="how the connection ended")
    duration: float = Field(description="seconds from connection to the last event")
    client: str | None = Field(default=None, description="our end of the connection, ADDRESS or ADDRESS PORT")
    peer: str | None = Field(default=None, description="the TCP peer the target sees")
    sent: str = Field(description="every byte sent, in hexadecimal")
    received: str = Field(description="every byte received, in hexadecimal, up to the transcript's limit")
    dropped: int = Field(default=0, description="received bytes beyond that limit")
    events: list[EventRecord]
    reproduce: str = Field(description="the command that runs this case alone")
    requirements: list[str] = Field(default=[], description="ids of the requirements it tests")
    disposition: Disposition | None = Field(
        default=None, description="whether a baseline expected the verdict; null: it did not have to, or there was none"
    )

    def fails(self, *, strict: bool) -> bool:
        """Tell whether the case counts against the target in a run that takes WARN seriously (`strict`) or does not.

        A failure the baseline describes does not; one that its entry no longer excuses does, whatever the verdict.
        """
        if self.disposition is Disposition.KNOWN:
            return False
        if self.disposition in (Disposition.STALE, Disposition.REGRESSED):
            return True
        return self.verdict in (Verdict.FAIL, Verdict.UNTESTABLE) or (strict and self.verdict is Verdict.WARN)


class _RunBase(_Record):
    schema_version: Literal[1] = 1
    id: str = Field(description="unique name of the run")
    started: datetime
    duration: float = Field(description="wall time, seconds")
    status: Literal["complete", "interrupted"]
    command: list[str] = Field(description="the command line, without the program's own path")
    target: TargetRecord
    environment: Environment
    exit_code: int


class BaselineRecord(_Record):
    """The baseline a run was measured by."""

    path: str = Field(description="the file, as the command line named it")
    stale: list[str] = Field(description="entries that have outlived their reason, in words")


class ConformanceRun(_RunBase):
    """What `proxyspec run` leaves behind."""

    kind: Literal["conformance"] = "conformance"
    unjudgeable: str | None = Field(default=None, description="why the target could not be judged at all")
    cases: list[CaseRecord]
    baseline: BaselineRecord | None = Field(default=None, description="null: the run had none")
    strict: bool = Field(default=False, description="a WARN counted as a failure")


class LoadStep(_Record):
    """Figures of one step of the SMTP session under load."""

    name: str = Field(description="connect, header_to_banner, ehlo, mail, rcpt, data, end_of_data, quit, session")
    count: int
    failures: int
    rate: float = Field(description="per second, over the run")
    mean_ms: float
    percentiles_ms: dict[str, float] = Field(description="keys: 0.5, 0.9, 0.95, 0.99, 1.0")


class LoadPoint(_Record):
    """One sample of the time line."""

    at: float = Field(description="seconds since the load began")
    users: int
    rate: float = Field(description="sessions per second")
    failure_rate: float = Field(description="failed sessions per second")
    p50_ms: float | None = None
    p95_ms: float | None = None


class LoadError(_Record):
    """Errors of one kind."""

    step: str
    error: str
    count: int


class Threshold(_Record):
    """One expectation of a load profile, judged."""

    expression: str
    actual: float | None = Field(description="null: nothing was measured")
    met: bool


class LoadRun(_RunBase):
    """What `proxyspec load` leaves behind."""

    kind: Literal["load"] = "load"
    profile: str
    header: str = Field(description="what each connection began with: none, v1, v2, or the road through HAProxy")
    users: int = Field(description="most users at once")
    sessions: int
    failures: int
    rate: float = Field(description="sessions per second, over the run")
    steps: list[LoadStep]
    timeline: list[LoadPoint]
    errors: list[LoadError]
    thresholds: list[Threshold]


Run = Annotated[ConformanceRun | LoadRun, Field(discriminator="kind")]

_ADAPTER: TypeAdapter[ConformanceRun | LoadRun] = TypeAdapter(Run)


class InvalidRun(Exception):
    """A run directory or record cannot be read; the message names it and the remedy."""


def load_run(path: Path) -> ConformanceRun | LoadRun:
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
        return _ADAPTER.validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the top level"
        raise InvalidRun(
            f"{record} is not a run record of schema version {SCHEMA_VERSION}: {first['msg']} at {where} "
            f"({error.error_count()} problem(s)); was it cut short, or written by another version?"
        ) from error


def run_schema() -> str:
    """Return the JSON Schema of `run.json`, indented."""
    schema = _ADAPTER.json_schema(mode="serialization")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "proxyspec run record", **schema}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
