"""What must be true after a scenario: each expectation judges the evidence by itself. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from proxyspec.model import Verdict
from proxyspec.traffic.accounting import Account, account, begun_rate, time_to
from proxyspec.traffic.model import Action, Attempt, Ended, Evidence, Mark

__all__ = [
    "LATE",
    "Carried",
    "CutShort",
    "Down",
    "Expectation",
    "Faults",
    "Finding",
    "Intact",
    "Judgement",
    "NoFaults",
    "NoFaultsOnceDown",
    "NoNewSessions",
    "Offered",
    "OldSessionsFinish",
    "Queued",
    "Recorded",
    "Redispatched",
    "Returns",
    "RightClients",
    "Shares",
    "judge",
]

#: A session that began this long before a server was made ready again may have been sent there all the same, in
#: seconds: HAProxy chooses a little after the client begins.
_BLUR = 1.0
#: A machine that is this late itself, in seconds, cannot blame anybody for being late.
LATE = 0.25


@dataclass(frozen=True, slots=True)
class Finding:
    """What one expectation came to."""

    verdict: Verdict
    text: str


class Expectation(Protocol):
    """Something that must be true of the evidence.

    `timed` says that a machine too busy to do things in time can make it fail, as no machine can make mail vanish.
    """

    timed: ClassVar[bool]

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Say whether it is, and why."""
        ...


def _finding(text: str, *, holds: bool) -> Finding:
    return Finding(Verdict.PASS if holds else Verdict.FAIL, text)


def _unseen(text: str) -> Finding:
    return Finding(Verdict.UNTESTABLE, text)


def _marks(evidence: Evidence, action: Action, server: str) -> list[Mark]:
    return [mark for mark in evidence.marks if mark.action is action and mark.server == server]


def _few(items: Sequence[object]) -> str:
    shown = ", ".join(map(str, items[:3]))
    return shown if len(items) <= 3 else f"{shown} and {len(items) - 3} more"


@dataclass(frozen=True, slots=True)
class Intact:
    """An acknowledged message is delivered exactly once (RFC 5321, sections 4.2.5 and 6.1)."""

    timed: ClassVar[bool] = False

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Count what was lost, doubled or came from nowhere."""
        del evidence
        if account.lost:
            return _finding(f"{len(account.lost)} acknowledged and lost: {_few(account.lost)}", holds=False)
        if account.duplicated:
            return _finding(f"{len(account.duplicated)} delivered twice: {_few(account.duplicated)}", holds=False)
        if account.unexplained:
            return _finding(f"delivered, never sent whole: {_few(account.unexplained)}", holds=False)
        if not account.acknowledged:
            return _unseen("no message was acknowledged, so none could be lost")
        doubt = f"; {account.in_doubt} never answered, {account.in_doubt_delivered} of them delivered"
        return _finding(
            f"{account.acknowledged} acknowledged, every one delivered once{doubt if account.in_doubt else ''}",
            holds=True,
        )


@dataclass(frozen=True, slots=True)
class RightClients:
    """Each server sees the client's own address and port, whatever way its session took (section 2)."""

    timed: ClassVar[bool] = False

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Compare endpoints, delivery by delivery."""
        if not evidence.deliveries:
            return _unseen("nothing was delivered, so no server named a client")
        if account.misattributed:
            wrong = [f"{one.message} as {one.client}" for one in account.misattributed]
            return _finding(f"{len(wrong)} delivered under another client: {_few(wrong)}", holds=False)
        return _finding("every message came under its client's own address and port", holds=True)


@dataclass(frozen=True, slots=True)
class Carried:
    """At least this share of the messages was acknowledged in the end."""

    timed: ClassVar[bool] = False

    share: float = 1.0

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Count them; those in doubt count as carried, for their clients may not try again."""
        del evidence
        if not account.messages:
            return _unseen("no client came")
        settled = account.acknowledged + account.in_doubt
        return _finding(
            f"{settled} of {account.messages} messages settled, {self.share:.0%} expected",
            holds=settled >= self.share * account.messages,
        )


@dataclass(frozen=True, slots=True)
class Offered:
    """Clients came as fast as they were asked to; a machine too slow for it tells nothing about that rate."""

    timed: ClassVar[bool] = False

    share: float = 0.9

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Compare the rates."""
        del account
        rate = begun_rate(evidence.attempts)
        if rate is None:
            return _unseen("clients came for too short a time to have a rate")
        text = f"{rate:g} sessions/s begun, {evidence.rate:g} asked for"
        if rate < self.share * evidence.rate:
            return Finding(Verdict.WARN, f"{text}: this machine is too slow or too busy")
        return Finding(Verdict.PASS, text)


@dataclass(frozen=True, slots=True)
class Shares:
    """The servers' parts of the messages follow their weights, to within `slack` messages each."""

    timed: ClassVar[bool] = False

    slack: float = 1.0

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Count deliveries by server."""
        del account
        pool = evidence.scenario.pool
        weights = pool.weights or (1,) * pool.count
        counts = Counter(delivery.server for delivery in evidence.deliveries)
        total = sum(counts.values())
        if total < sum(weights):
            return _unseen(f"only {total} messages for {pool.count} servers")
        said = ", ".join(f"{name} {counts[name]}" for name in pool.names)
        off = max(
            abs(counts[name] - total * weight / sum(weights)) for name, weight in zip(pool.names, weights, strict=True)
        )
        return _finding(f"{said}: at most {off:.1f} from an exact share", holds=off <= self.slack)


@dataclass(frozen=True, slots=True)
class NoFaults:
    """No session failed at all."""

    timed: ClassVar[bool] = True

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Look for any fault."""
        del evidence
        if not account.sessions:
            return _unseen("no client came")
        said = _few([f"{count} × {fault}" for fault, count in account.errors.items()])
        return _finding(said or f"{account.sessions} sessions, no fault", holds=not account.errors)


@dataclass(frozen=True, slots=True)
class Faults:
    """At least `least` sessions failed like this, and none in any other way; the first step and kind is shown.

    `kinds` are texts such as `421 at banner`.
    """

    timed: ClassVar[bool] = True

    kinds: tuple[str, ...]
    least: int = 1

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Count faults by kind."""
        del evidence
        wanted = sum(count for fault, count in account.errors.items() if str(fault) in self.kinds)
        other = [f"{count} × {fault}" for fault, count in account.errors.items() if str(fault) not in self.kinds]
        if other:
            return _finding(f"unexpected: {_few(other)}", holds=False)
        return _finding(
            f"{wanted} × {' or '.join(self.kinds)}, expected {self.least} or more", holds=wanted >= self.least
        )


@dataclass(frozen=True, slots=True)
class NoFaultsOnceDown:
    """Once HAProxy has noticed that a server is gone, no new session fails until the next event."""

    timed: ClassVar[bool] = True

    server: str = "s1"

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Look at the sessions that began after the server was called DOWN."""
        del account
        down = next((one.at for one in evidence.changes if one.server == self.server and one.state == "DOWN"), None)
        if down is None:
            return _unseen(f"{self.server} was never DOWN")
        until = min((mark.at for mark in evidence.marks if mark.at > down), default=float("inf"))
        late = [one for one in evidence.attempts if down < one.started < until]
        failed = [f"{one.fault} after {one.started:.2f} s" for one in late if one.fault and one.finished < until]
        if not late:
            return _unseen(f"no session began after {self.server} was DOWN")
        return _finding(
            f"of {len(late)} sessions begun after that, {len(failed)} failed{': ' if failed else ''}{_few(failed)}",
            holds=not failed,
        )


@dataclass(frozen=True, slots=True)
class Down:
    """HAProxy calls the server DOWN within `within` seconds of each event that ends it."""

    timed: ClassVar[bool] = True

    within: float
    server: str = "s1"

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Time the change of state."""
        del account
        marks = [mark for action in (Action.KILL, Action.STOP) for mark in _marks(evidence, action, self.server)]
        return _timed("DOWN", marks, evidence, self.within)


@dataclass(frozen=True, slots=True)
class Returns:
    """HAProxy calls the server UP within `within` seconds of each start, and sends it mail again.

    A drained server is not back before it is made ready: that counts instead."""

    timed: ClassVar[bool] = True

    within: float
    server: str = "s1"

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Time the change of state, and look for a message after it."""
        del account
        ready = _marks(evidence, Action.READY, self.server)
        marks = ready or _marks(evidence, Action.START, self.server)
        timed = _timed("UP", marks, evidence, self.within)
        if timed.verdict in (Verdict.FAIL, Verdict.UNTESTABLE):
            return timed
        after = [one for one in evidence.deliveries if one.server == self.server and one.at > marks[-1].at]
        text = f"{timed.text}; {len(after)} messages there after the last start"
        return Finding(timed.verdict if after else Verdict.FAIL, text)


def _timed(state: str, marks: Sequence[Mark], evidence: Evidence, within: float) -> Finding:
    if not marks:
        return _unseen("the event did not take place")
    times = [time_to(state, mark, evidence) for mark in sorted(marks, key=lambda mark: mark.at)]
    if any(time is None for time in times):
        return _finding(f"{marks[0].server} was not {state} after every one of {len(marks)} event(s)", holds=False)
    slowest = max(time for time in times if time is not None)
    text = f"{marks[0].server} {state} after {slowest:.2f} s, {within:g} s allowed"
    return _finding(text, holds=slowest <= within)


@dataclass(frozen=True, slots=True)
class NoNewSessions:
    """Between draining and the next event the server gets no message of a session begun meanwhile."""

    timed: ClassVar[bool] = False

    server: str = "s1"

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Match deliveries to the sessions that made them."""
        del account
        drained = _marks(evidence, Action.DRAIN, self.server)
        if not drained:
            return _unseen("the server was not drained")
        begin = drained[0].at
        ready = [mark.at for mark in _marks(evidence, Action.READY, self.server) if mark.at > begin]
        end = min(ready, default=float("inf"))
        new = {one.message for one in evidence.attempts if begin < one.started < end - _BLUR}
        if not new:
            return _unseen("no session began while it was drained")
        got = [one.message for one in evidence.deliveries if one.server == self.server and one.message in new]
        return _finding(f"of {len(new)} new messages the drained {self.server} got {len(got)}", holds=not got)


@dataclass(frozen=True, slots=True)
class OldSessionsFinish:
    """Sessions that were open at a reload, and went on for `beyond` seconds after it, ended well."""

    timed: ClassVar[bool] = False

    beyond: float

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Look at the sessions that span a reload."""
        del account
        reloads = [mark.at for mark in evidence.marks if mark.action is Action.RELOAD]
        spanning = [
            one
            for one in evidence.attempts
            if any(one.started < at and one.finished > at + self.beyond for at in reloads)
        ]
        if not spanning:
            return _unseen(f"no session was open {self.beyond:g} s after a reload")
        broken = [str(one.fault) for one in spanning if one.fault is not None]
        return _finding(
            f"{len(spanning)} sessions older than a reload went on for {self.beyond:g} s and more, {len(broken)} broke",
            holds=not broken,
        )


@dataclass(frozen=True, slots=True)
class Redispatched:
    """HAProxy sent at least `least` sessions to another server than the one it had chosen."""

    timed: ClassVar[bool] = True

    least: int = 1

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Read HAProxy's log."""
        del account
        counters = evidence.counters
        return _finding(
            f"{counters.redispatched} sessions redispatched, {counters.retried} connections retried",
            holds=counters.redispatched >= self.least,
        )


@dataclass(frozen=True, slots=True)
class Queued:
    """At least `least` sessions waited for a server at once."""

    timed: ClassVar[bool] = True

    least: int = 1

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Read the longest queue."""
        del account
        longest = evidence.counters.queue_max
        return _finding(f"the longest queue held {longest} sessions", holds=longest >= self.least)


@dataclass(frozen=True, slots=True)
class CutShort:
    """Every session ends in this way after so many seconds, by whom HAProxy's log and the server say.

    `fault` is a text such as `closed at banner`; `code` HAProxy's termination state (cD: its client timeout; sD: its
    server timeout; sQ: its queue timeout; --: the server or client ended it). `ended` None takes FIN and RST alike.
    """

    timed: ClassVar[bool] = True

    fault: str
    after: float
    code: str
    slack: float = 0.5
    ended: Ended | None = Ended.FIN

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Compare every session."""
        if not evidence.attempts:
            return _unseen("no client came")
        faults = _few([f"{count} × {fault}" for fault, count in account.errors.items()]) or "no fault"
        times = sorted(one.seconds for one in evidence.attempts)
        codes = ", ".join(f"{code} {count}" for code, count in evidence.counters.terminations.items()) or "nothing"
        said = f"{faults} after {times[0]:.2f} to {times[-1]:.2f} s; HAProxy's log says {codes}"
        holds = all(self._fits(one, evidence.late) for one in evidence.attempts) and set(
            evidence.counters.terminations
        ) == {self.code}
        return _finding(said, holds=holds)

    def _fits(self, attempt: Attempt, late: float) -> bool:
        timely = self.after - 0.05 <= attempt.seconds <= self.after + self.slack + 2 * late
        return timely and str(attempt.fault) == self.fault and self.ended in (None, attempt.ended)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Nothing is expected; what the servers and HAProxy noted is kept for the reader."""

    timed: ClassVar[bool] = False

    def judge(self, evidence: Evidence, account: Account) -> Finding:
        """Tell the endings."""
        del account
        endings = ", ".join(f"{name} {count}" for name, count in sorted(evidence.endings.items()))
        downs = Counter(one.server for one in evidence.changes if one.state == "DOWN")
        fell = ", ".join(f"{name} {count} times" for name, count in sorted(downs.items())) or "no server"
        return Finding(Verdict.INFO, f"HAProxy called DOWN: {fell}; the servers' connections ended {endings or 'not'}")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one scenario: the worst of its findings."""

    verdict: Verdict
    reason: str
    findings: tuple[Finding, ...]
    account: Account


_WORST_FIRST = (Verdict.ERROR, Verdict.FAIL, Verdict.UNTESTABLE, Verdict.WARN, Verdict.PASS, Verdict.INFO)


def _fair(expectation: Expectation, evidence: Evidence, account: Account) -> Finding:
    """Judge one expectation; a failure that this machine's own lateness explains is only a warning."""
    found = expectation.judge(evidence, account)
    if found.verdict is Verdict.FAIL and expectation.timed and evidence.late > LATE:
        return Finding(Verdict.WARN, f"{found.text}, but this machine was up to {evidence.late:.1f} s late itself")
    return found


def judge(evidence: Evidence) -> Judgement:
    """Judge a run of a scenario by what it expects; the reason is the findings of the worst verdict."""
    sums = account(evidence.attempts, evidence.deliveries)
    findings = tuple(_fair(expectation, evidence, sums) for expectation in evidence.scenario.expects)
    verdict = min((finding.verdict for finding in findings), key=_WORST_FIRST.index)
    return Judgement(verdict, _reason(verdict, findings), findings, sums)


def _reason(verdict: Verdict, findings: Iterable[Finding]) -> str:
    return "; ".join(finding.text for finding in findings if finding.verdict is verdict)
