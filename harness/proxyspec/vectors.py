"""The catalogue as data for other languages: what to send and what conforms, without a line of Python.

A vector says everything a test of a PROXY protocol receiver needs; its JSON Schema is `docs/vectors.schema.json`.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal, assert_never

from pydantic import BaseModel, ConfigDict, Field

import proxyspec
from proxyspec.model import (
    Accept,
    Await,
    Capability,
    Case,
    Catalogue,
    HalfClose,
    Level,
    OutcomeKind,
    Pause,
    Reset,
    Send,
    Source,
    StartTls,
    Step,
    Timing,
    Via,
    WatchCheck,
    Who,
)

__all__ = ["VECTORS_VERSION", "VectorFile", "vector_schema", "vectors_of"]

VECTORS_VERSION = 1

Hex = Annotated[str, Field(pattern="^([0-9a-f]{2})*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SendStep(_Part):
    """Write these bytes as one segment (TCP_NODELAY)."""

    do: Literal["send"] = "send"
    hex: Hex


class PauseStep(_Part):
    """Keep quiet for `seconds` plus `deadlines` times the target's header deadline."""

    do: Literal["pause"] = "pause"
    seconds: float
    deadlines: float


class HalfCloseStep(_Part):
    """Send FIN and go on reading."""

    do: Literal["half-close"] = "half-close"


class AwaitStep(_Part):
    """Wait until so many SMTP replies are there, the greeting among them."""

    do: Literal["await-replies"] = "await-replies"
    count: int


class StartTlsStep(_Part):
    """Make a TLS handshake; its first bytes go in one segment behind `glued`."""

    do: Literal["start-tls"] = "start-tls"
    glued: Hex


class ResetStep(_Part):
    """Send RST."""

    do: Literal["reset"] = "reset"


class WatchStep(_Part):
    """Wait for HAProxy's verdict on its health check of this name."""

    do: Literal["watch-check"] = "watch-check"
    check: str


VectorStep = Annotated[
    SendStep | PauseStep | HalfCloseStep | AwaitStep | StartTlsStep | ResetStep | WatchStep, Field(discriminator="do")
]


class Expected(_Part):
    """One outcome that conforms."""

    outcome: OutcomeKind
    address: str | None = Field(
        description="whom the session must believe to be talking to; 'peer': the TCP peer the target sees, 'client': "
        "the far end behind HAProxy; null: not asked"
    )
    code_class: int | None = Field(description="first digit of the reply that refuses; null takes any")


class Beside(_Part):
    """Another connection of the same peer, and the address its session must have."""

    hex: Hex
    address: str


class Held(_Part):
    """Connections of the same peer that send these bytes and hold still."""

    count: int
    hex: Hex


class Vector(_Part):
    """One case."""

    id: str
    title: str = Field(description="what a conformant receiver does, in one sentence")
    section: str = Field(description="section of the PROXY protocol text, or an RFC")
    level: Level
    requirements: list[str]
    peer: Source = Field(description="whether the connection comes from an address the target trusts to send PROXY")
    road: Via = Field(description="direct, or through which front of HAProxy")
    versions: list[int] = Field(description="header versions the target must speak for the case to apply")
    needs: list[Capability] = Field(description="capabilities the target must have for the case to apply")
    steps: list[VectorStep]
    commands: list[Hex] = Field(description="SMTP lines sent one by one once the session runs")
    expected: list[Expected] = Field(description="any of these conforms")
    control: str | None = Field(description="the vector that must be accepted for a refusal of this one to count")
    premise: str | None = Field(description="the vector whose refusal this one presumes")
    timing: Timing = Field(description="when a refusal has to come")
    waits: bool = Field(description="lasts until the target's header deadline")
    forbidden: list[Hex] = Field(description="bytes the target must not say")
    extra_replies: int = Field(description="replies the steps themselves ask for, beyond the greeting")
    expected_errors: int = Field(description="error replies the case provokes on purpose")
    beside: Beside | None = Field(description="greeted before, and asked again after: its address must not change")
    afterwards: Beside | None = Field(description="must be served when the case's connection is over")
    crowd: Held | None = Field(description="stand before the target meanwhile")


class VectorFile(_Part):
    """All vectors of a catalogue."""

    format: Literal["proxyspec-vectors"] = "proxyspec-vectors"
    version: Literal[1] = 1
    proxyspec: str = Field(description="version of proxyspec that wrote the file")
    vectors: list[Vector]


def _step(step: Step) -> VectorStep:
    match step:
        case Send(data):
            return SendStep(hex=data.hex())
        case Pause(seconds, timeouts):
            return PauseStep(seconds=seconds, deadlines=timeouts)
        case HalfClose():
            return HalfCloseStep()
        case Await(replies):
            return AwaitStep(count=replies)
        case StartTls(glued):
            return StartTlsStep(glued=glued.hex())
        case Reset():
            return ResetStep()
        case WatchCheck(name):
            return WatchStep(check=name)
    assert_never(step)


def _expected(accept: Accept) -> Expected:
    address = accept.address.value if isinstance(accept.address, Who) else accept.address
    return Expected(outcome=accept.kind, address=address, code_class=accept.code_class)


def _vector(case: Case) -> Vector:
    return Vector(
        id=case.id,
        title=case.title,
        section=case.section,
        level=case.level,
        requirements=list(case.requirements),
        peer=case.source,
        road=case.via,
        versions=sorted(case.versions),
        needs=sorted(case.needs),
        steps=[_step(step) for step in case.steps],
        commands=[command.hex() for command in case.commands],
        expected=list(dict.fromkeys(_expected(accept) for accept in case.accept)),
        control=case.control,
        premise=case.premise,
        timing=case.timing,
        waits=case.waits,
        forbidden=[needle.hex() for needle in case.forbid],
        extra_replies=case.extra_replies,
        expected_errors=case.expected_errors,
        beside=None if case.beside is None else Beside(hex=case.beside.header.hex(), address=case.beside.address),
        afterwards=None if case.then is None else Beside(hex=case.then.header.hex(), address=case.then.address),
        crowd=None if case.crowd is None else Held(count=case.crowd.count, hex=case.crowd.data.hex()),
    )


def vectors_of(catalogue: Catalogue) -> str:
    """Return the vector file of a catalogue as JSON, one line end at its end; the same catalogue, the same text."""
    file = VectorFile(proxyspec=proxyspec.__version__, vectors=[_vector(case) for case in catalogue.cases])
    return file.model_dump_json(indent=1) + "\n"


def vector_schema() -> str:
    """Return the JSON Schema of the vector file, indented."""
    schema = VectorFile.model_json_schema(mode="serialization")
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "proxyspec vectors"}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
