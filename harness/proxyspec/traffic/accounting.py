"""Every message accounted for: what clients were told against what servers have. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from proxyspec.traffic.model import Action, Attempt, Delivery, Evidence, Fault, Mark

__all__ = ["Account", "account", "begun_rate", "per_second", "time_to"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of the messages; all counts are of messages but `sessions`, `errors` and `misattributed`.

    Attributes:
        messages: how many there were.
        sessions: attempts to hand one over.
        sent: the whole message went out, final dot included, at least once.
        acknowledged: answered with 250 after the final dot.
        delivered: in a server's journal.
        lost: acknowledged and not delivered. Never may this be.
        duplicated: delivered more than once, although no client sent it again after an unanswered dot.
        in_doubt: the final dot was never answered; `in_doubt_delivered` of them arrived all the same.
        refused: neither acknowledged nor in doubt after every attempt.
        unexplained: delivered although no client ever sent the final dot.
        misattributed: deliveries under another client endpoint than the one that sent the message.
        errors: faults of sessions by step and kind.
    """

    messages: int
    sessions: int
    sent: int
    acknowledged: int
    delivered: int
    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    in_doubt: int
    in_doubt_delivered: int
    refused: int
    unexplained: tuple[str, ...]
    misattributed: tuple[Delivery, ...]
    errors: Mapping[Fault, int]


def account(attempts: Iterable[Attempt], deliveries: Iterable[Delivery]) -> Account:
    """Set what clients saw against what servers wrote down."""
    by_message: dict[str, list[Attempt]] = {}
    errors: Counter[Fault] = Counter()
    sessions = 0
    for attempt in attempts:
        sessions += 1
        by_message.setdefault(attempt.message, []).append(attempt)
        if attempt.fault is not None:
            errors[attempt.fault] += 1
    delivered: Counter[str] = Counter()
    misattributed = []
    for delivery in deliveries:
        delivered[delivery.message] += 1
        of_message = by_message.get(delivery.message, [])
        if not any(attempt.dot_sent and attempt.client == delivery.client for attempt in of_message):
            misattributed.append(delivery)
    sent = {message for message, tries in by_message.items() if any(one.dot_sent for one in tries)}
    acknowledged = {message for message, tries in by_message.items() if any(one.acknowledged for one in tries)}
    in_doubt = {message for message, tries in by_message.items() if any(one.in_doubt for one in tries)} - acknowledged
    return Account(
        messages=len(by_message),
        sessions=sessions,
        sent=len(sent),
        acknowledged=len(acknowledged),
        delivered=len(delivered),
        lost=tuple(sorted(acknowledged - delivered.keys())),
        duplicated=tuple(sorted(message for message, times in delivered.items() if times > 1)),
        in_doubt=len(in_doubt),
        in_doubt_delivered=len(in_doubt & delivered.keys()),
        refused=len(by_message.keys() - acknowledged - in_doubt),
        unexplained=tuple(sorted(delivered.keys() - sent)),
        misattributed=tuple(misattributed),
        errors=dict(sorted(errors.items(), key=lambda item: (-item[1], str(item[0])))),
    )


def time_to(state: str, mark: Mark, evidence: Evidence) -> float | None:
    """Return the seconds from a mark until HAProxy called that server `state`; None if it did not before the next mark.

    HAProxy may notice a server that listens a little before it is marked as started here, and then took no time.
    """
    others = [one.at for one in evidence.marks if one.server == mark.server and one is not mark]
    since = mark.at
    if mark.action is Action.START:
        since = max((at for at in others if at < mark.at), default=mark.at)
    until = min((at for at in others if at > mark.at), default=math.inf)
    for change in evidence.changes:
        if change.server == mark.server and since <= change.at < until and change.state == state:
            return max(0.0, change.at - mark.at)
    return None


def begun_rate(attempts: Iterable[Attempt]) -> float | None:
    """Return how many messages' first sessions began per second; None if they came within half a second."""
    begun: dict[str, float] = {}
    for attempt in attempts:
        begun[attempt.message] = min(attempt.started, begun.get(attempt.message, attempt.started))
    times = begun.values()
    span = max(times, default=0.0) - min(times, default=0.0)
    return None if span < 0.5 else round((len(begun) - 1) / span, 1)


def per_second(times: Sequence[float], until: float, width: float = 0.5) -> tuple[tuple[float, float], ...]:
    """Return (middle of an interval, events per second) for intervals of `width` seconds from 0 up to `until`."""
    last = max(1, math.ceil(until / width)) - 1
    # What a clock that was read a little later dates behind the end, belongs to the last interval.
    counts = Counter(min(last, max(0, int(at // width))) for at in times)
    return tuple((round((place + 0.5) * width, 3), counts[place] / width) for place in range(last + 1))
