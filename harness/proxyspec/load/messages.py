"""What the Locust process tells the one that started it: one JSON object a line over a pipe.

In order: `Started`, a `Tick` every second, `Finished`; or `Refused` in place of any of them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from proxyspec.records.load import GeneratorRecord, LoadError, LoadPoint, LoadSample, LoadStep, Threshold

__all__ = ["MAX_LINE", "Finished", "Lines", "Message", "Refused", "Started", "Tick", "parse_message"]

#: Bytes of one message.
MAX_LINE = 4 * 1024 * 1024


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Started(_Message):
    """The load begins; what the profile left open is settled."""

    kind: Literal["started"] = "started"
    users: int
    seconds: float | None
    header: str
    thresholds: list[str]


class Tick(_Message):
    """One sample of the time line, and the totals up to it."""

    kind: Literal["tick"] = "tick"
    point: LoadPoint
    sessions: int
    failures: int
    samples: list[LoadSample] = Field(default=[], description="taken since the last one")


class Finished(_Message):
    """The load is over."""

    kind: Literal["finished"] = "finished"
    seconds: float = Field(description="from the first user's start to the last one's end")
    users: int = Field(description="most users at once")
    sessions: int
    failures: int
    steps: list[LoadStep]
    errors: list[LoadError]
    planned: dict[str, int] = Field(default={}, description="connections that ended early as planned, by plan")
    checks: list[Threshold] = Field(default=[], description="what the profile judged by itself")
    workers: int = Field(default=0, description="processes that shared the load; 0: one did it alone")
    lost: int = Field(default=0, description="of them, how many never sent their last figures")
    samples: list[LoadSample] = Field(default=[], description="taken since the last tick")
    generator: GeneratorRecord | None = None
    notes: list[str] = Field(default=[], description="what became of the samples' sources")


class Refused(_Message):
    """The load cannot begin, and it is the user who can mend it."""

    kind: Literal["refused"] = "refused"
    message: str


Message = Annotated[Started | Tick | Finished | Refused, Field(discriminator="kind")]

_ADAPTER: TypeAdapter[Started | Tick | Finished | Refused] = TypeAdapter(Message)


def parse_message(line: bytes) -> Started | Tick | Finished | Refused:
    """Read one line.

    Raises:
        ValueError: it is no message.
    """
    try:
        return _ADAPTER.validate_json(line)
    except ValidationError as error:
        raise ValueError(f"not a message of a load: {line[:120]!r}") from error


class Lines:
    """Cuts what a pipe delivers into lines; memory is bounded by `MAX_LINE`."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completed, without their ends.

        Raises:
            ValueError: a line is too long.
        """
        self._rest += data
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        if len(rest) > MAX_LINE or any(len(line) > MAX_LINE for line in lines):
            raise ValueError(f"a line of more than {MAX_LINE} bytes is no message of a load")
        return lines
