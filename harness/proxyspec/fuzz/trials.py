"""One frame on one connection: the case it makes, the wire it takes, the verdict on what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from proxyspec.casebook import CONTROL_ADDRESS, REFUSED, proxied
from proxyspec.driver import drive
from proxyspec.fuzz.rules import Class, Expectation, classify
from proxyspec.judge import judge
from proxyspec.layers.authoring import v1, v2
from proxyspec.model import (
    ACCEPTED,
    Accept,
    Capability,
    Case,
    HalfClose,
    Judgement,
    Level,
    OutcomeKind,
    Send,
    Target,
    Transcript,
    Verdict,
    Who,
)
from proxyspec.oracle import Oracle
from proxyspec.wire import Road, TcpWire, Wire

__all__ = ["SETTLE", "Prober", "SettlingWire", "Trial", "case_of", "control_of"]

#: A target that has said nothing this long after a frame is told by a FIN that no more will come, in seconds.
SETTLE = 0.05
#: Error replies that bytes behind a header may provoke: any number.
_ANY_NUMBER = 1_000_000

_TITLES = {
    Class.ACCEPT: "Must be served",
    Class.REJECT: "Must get no session",
    Class.EITHER: "May be served or refused, and nothing else",
}


def _accepts(expectation: Expectation) -> tuple[Accept, ...]:
    found: list[Accept] = []
    for address in expectation.addresses:
        # A header may say the very address the connection has: then the two cannot be told apart.
        found += [*proxied(address), Accept(OutcomeKind.ACCEPTED_REAL, address)]
    if expectation.real:
        found.append(Accept(OutcomeKind.ACCEPTED_REAL, Who.PEER))
    if expectation.refused:
        found += REFUSED
    if expectation.payload:
        found.append(Accept(OutcomeKind.TREATED_AS_SMTP))
    return tuple(found)


def case_of(
    case_id: str, data: bytes, expectation: Expectation, *, control: str | None = None, fin: bool = False
) -> Case:
    """Make a case of a frame and what the text says of it; `fin` ends the frame with a half-close."""
    open_to_choice = expectation.verdict is Class.EITHER
    return Case(
        id=case_id,
        title=f"{_TITLES[expectation.verdict]}: {expectation.reason}",
        section=expectation.section,
        level=Level.EITHER if open_to_choice else Level.MUST,
        steps=(Send(data), HalfClose()) if fin else (Send(data),),
        accept=_accepts(expectation),
        control=control,
        expected_errors=_ANY_NUMBER if expectation.payload else 0,
    )


def control_of(data: bytes, versions: frozenset[int]) -> Case:
    """Return the case that must be accepted for the refusal of a frame to count: a plain header of the same version."""
    version = 2 if 2 in versions and (1 not in versions or data[:1] != b"P") else 1
    header = v1() if version == 1 else v2()
    title = f"A plain version {version} header is served"
    return Case(
        id=f"control/v{version}",
        title=title,
        section="2",
        level=Level.MUST,
        steps=(Send(header),),
        accept=proxied(CONTROL_ADDRESS),
    )


class SettlingWire(TcpWire):
    """A wire that sends FIN when the target keeps silent for `settle` seconds after the first send.

    What is incomplete or half refused is so settled at once, where a target would wait for its header deadline.
    """

    def __init__(self, road: Road, settle: float = SETTLE) -> None:
        super().__init__(road)
        self._settle = settle
        self._timer: asyncio.TimerHandle | None = None
        self._spoken = False

    async def send(self, data: bytes) -> None:
        """Write all bytes, and start to wait for an answer if they are the first."""
        await super().send(data)
        if self._timer is None and not self._spoken:
            self._timer = asyncio.get_running_loop().call_later(self._settle, self._give_in)

    async def receive(self) -> bytes:
        """Return the next bytes; the first settle the matter."""
        data = await super().receive()
        self._spoken = True
        self._stop()
        return data

    def close(self) -> None:
        """Let go of the connection; safe to call twice."""
        self._stop()
        super().close()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _give_in(self) -> None:
        with contextlib.suppress(OSError):
            self.half_close()


@dataclass(frozen=True, slots=True)
class Trial:
    """A frame that was sent, and what came of it."""

    data: bytes
    expectation: Expectation
    transcript: Transcript
    judgement: Judgement

    @property
    def contradicts(self) -> bool:
        """The target did what no reading of the text allows."""
        return self.judgement.verdict is Verdict.FAIL

    @property
    def outcome(self) -> OutcomeKind:
        """What happened."""
        assert self.judgement.outcome is not None
        return self.judgement.outcome.kind

    @property
    def signature(self) -> tuple[Class, str, OutcomeKind]:
        """What trials that contradict the text in the same way have in common."""
        return self.expectation.verdict, self.expectation.reason, self.outcome


@dataclass(frozen=True, slots=True)
class Prober:
    """Sends frames to one target, each on a connection of its own."""

    target: Target
    road: Road
    oracle: Oracle
    quick: Callable[[Road], Wire] = SettlingWire
    patient: Callable[[Road], Wire] = TcpWire

    def expectation(self, data: bytes) -> Expectation:
        """Say what the target may do with a frame, by the versions it declares, and whether it checks checksums."""
        checksums = not self.target.missing(frozenset({Capability.CRC32C}))
        return classify(data, self.target.versions, checksums=checksums)

    async def screen(self, data: bytes) -> Trial:
        """Send a frame; what the target has to serve is waited for, all else is settled by a FIN."""
        expectation = self.expectation(data)
        wire = self.patient if expectation.verdict is Class.ACCEPT else self.quick
        return await self._try(data, expectation, wire(self.road), fin=False)

    async def examine(self, data: bytes, *, fin: bool) -> Trial:
        """Send a frame as its case will, and wait as long as it takes."""
        return await self._try(data, self.expectation(data), self.patient(self.road), fin=fin)

    async def _try(self, data: bytes, expectation: Expectation, wire: Wire, *, fin: bool) -> Trial:
        case = case_of("fuzz/frame", data, expectation, fin=fin)
        transcript = await drive(case, self.target, self.road, wire)
        judgement = judge(case, transcript, None, None, self.target, self.oracle)
        return Trial(data, expectation, transcript, judgement)

    async def controlled(self, data: bytes) -> bool:
        """Tell whether the control of a frame is accepted now."""
        case = control_of(data, self.target.versions)
        transcript = await drive(case, self.target, self.road, self.patient(self.road))
        outcome = judge(case, transcript, None, None, self.target, self.oracle).outcome
        return outcome is not None and outcome.kind in ACCEPTED
