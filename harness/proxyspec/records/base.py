"""What records of every kind are made of: the run, the target, the environment, and a row that was judged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from proxyspec.model import Verdict

__all__ = [
    "SCHEMA_VERSION",
    "Environment",
    "HAProxyRecord",
    "JudgedRecord",
    "Record",
    "RunBase",
    "ScenarioRun",
    "TargetRecord",
    "TargetRun",
]

SCHEMA_VERSION = 1


def _spelt(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    return [_spelt(one) for one in value] if isinstance(value, list) else value


class Record(BaseModel):
    """A frozen piece of a record that refuses fields it does not know."""

    # Built when it is first needed: a command writes or reads records of one kind.
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, values: object) -> object:
        """Spell out what is no text, such as the bytes of a file's name: JSON has no place for it."""
        return {key: _spelt(value) for key, value in values.items()} if isinstance(values, dict) else values


class TargetRecord(Record):
    """The server that was judged or loaded."""

    url: str = Field(description="smtp://HOST:PORT")
    name: str | None = Field(default=None, description="what reports call it, for instance software and version")
    header_timeout: float = Field(description="declared header deadline, seconds from accept")
    trusted_source: str | None = Field(description="local address that played the trusted proxy")
    untrusted_source: str | None = Field(description="local address that played an unlisted peer; null: none declared")
    versions: list[int] = Field(description="header versions the target declares")
    oracle: str = Field(description="what told whom the target believes to be talking to; 'none' if nothing did")
    capabilities: list[str] = Field(default=[], description="what it declares or shows to have; no-… what it lacks")
    tls_port: int | None = Field(default=None, description="port whose connections begin with TLS")


class HAProxyRecord(Record):
    """The HAProxy that stood in front of the target."""

    engine: Literal["docker", "binary"] = Field(description="how it ran")
    version: str = Field(description="what `haproxy -v` says")
    description: str = Field(description="image or binary, for people")
    why: str = Field(description="why this engine was taken")
    config: str = Field(description="path of the rendered haproxy.cfg, relative to the run directory")
    log: str = Field(description="path of its log, relative to the run directory")


class Environment(Record):
    """Where the run took place."""

    proxyspec: str = Field(description="version of proxyspec")
    python: str = Field(description="version of Python")
    platform: str = Field(description="operating system and machine")
    haproxy: HAProxyRecord | None = Field(description="null: nothing went through HAProxy")


class RunBase(Record):
    """What a run of any kind leaves behind."""

    schema_version: Literal[1] = 1
    id: str = Field(description="unique name of the run")
    started: datetime
    duration: float = Field(description="wall time, seconds")
    status: Literal["complete", "interrupted"]
    command: list[str] = Field(description="the command line, without the program's own path")
    environment: Environment
    exit_code: int


class TargetRun(RunBase):
    """A run against one server."""

    target: TargetRecord


class JudgedRecord(Record):
    """A row that was judged; each kind of scenario adds its own figures and evidence."""

    id: str = Field(description="unique within the run, like `check/smtpchk/ehlo/v2@3.2`")
    title: str = Field(description="what is looked at, in one sentence")
    verdict: Verdict
    reason: str = Field(description="why the verdict is what it is, in one sentence")


class ScenarioRun(RunBase):
    """A run that judges scenarios rather than one target: several versions of HAProxy, several servers, a file."""

    subject: str = Field(description="what was judged, for a heading: 'HAProxy 2.6.12 and 3.2.26 as senders'")
    haproxies: list[HAProxyRecord] = Field(default=[], description="every HAProxy that took part")

    @property
    @abstractmethod
    def judged(self) -> Sequence[JudgedRecord]:
        """Every row that was judged, in the order in which a reader should meet them."""
