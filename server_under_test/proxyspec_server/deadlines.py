"""Deadlines of many connections behind one timer: a few fixed periods, each a queue that is in order by itself."""

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping
from enum import IntEnum
from typing import Generic, TypeVar


class Timer(IntEnum):
    """What a deadline is for. A connection waits for one of the first four at a time, and for WRITE beside it."""

    HEADER = 0
    HANDSHAKE = 1
    IDLE = 2
    LINGER = 3
    WRITE = 4


Key = TypeVar("Key", bound=Hashable)


class Deadlines(Generic[Key]):
    """When each key's deadlines fall. Times are seconds of one monotonic clock, given by the caller.

    As every deadline of a kind lies the same period ahead, starting one appends it: all operations take constant time.
    """

    def __init__(self, periods: Mapping[Timer, float]) -> None:
        """`periods` gives the seconds of each kind of deadline."""
        self._periods = dict(periods)
        self._queues: dict[Timer, OrderedDict[Key, float]] = {timer: OrderedDict() for timer in periods}

    def start(self, timer: Timer, key: Key, now: float) -> float:
        """Start or restart a deadline; returns when it falls."""
        queue = self._queues[timer]
        due = now + self._periods[timer]
        queue[key] = due
        queue.move_to_end(key)
        return due

    def cancel(self, timer: Timer, key: Key) -> None:
        """Forget a deadline, if there is one."""
        self._queues[timer].pop(key, None)

    def forget(self, key: Key) -> None:
        """Forget every deadline of a key."""
        for queue in self._queues.values():
            queue.pop(key, None)

    def pending(self, timer: Timer) -> int:
        """How many wait for this kind of deadline."""
        return len(self._queues[timer])

    def next_due(self) -> float | None:
        """When the earliest deadline falls, or None when there is none."""
        return min((next(iter(queue.values())) for queue in self._queues.values() if queue), default=None)

    def expire(self, now: float) -> Iterator[tuple[Timer, Key]]:
        """Remove and yield the deadlines that have fallen, none before its full period is over.

        They are removed one by one, so that a caller who breaks off finds the others again.
        """
        for timer, queue in self._queues.items():
            while queue:
                key = next(iter(queue))
                if queue[key] > now:
                    break
                del queue[key]
                yield timer, key
