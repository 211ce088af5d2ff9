"""Response times in buckets: small, mergeable by adding, and true to half a millisecond however long they are.

Below 256 ns a bucket is one nanosecond wide. From there every power of two has 128 buckets, so that the middle of one
is within 0.4 % of everything in it, until they are 0.52 ms wide (from 67 ms on); they stay that wide. So 30 s are told
from 30.001 s, which a histogram of percents alone cannot do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

__all__ = ["NANOSECONDS", "Histogram", "bucket", "bucket_milliseconds"]

#: In a millisecond.
NANOSECONDS: Final = 1_000_000

#: Buckets in a power of two, as bits.
_PRECISION: Final = 7
#: Width of the widest bucket, as bits: 2^19 ns.
_WIDEST: Final = 19


def bucket(nanoseconds: int) -> int:
    """Return the middle of the bucket that holds this time; both in nanoseconds, none negative."""
    width = min(nanoseconds.bit_length() - _PRECISION - 1, _WIDEST)
    if width <= 0:
        return nanoseconds
    return (nanoseconds >> width << width) + (1 << width - 1)


def bucket_milliseconds(milliseconds: float) -> float:
    """Do the same with milliseconds: for statistics that keep a dictionary by time, as Locust's do."""
    return bucket(round(milliseconds * NANOSECONDS)) / NANOSECONDS


@dataclass(slots=True)
class Histogram:
    """How often which time occurred, in nanoseconds; count, sum, least and most are exact."""

    buckets: dict[int, int] = field(default_factory=dict)
    count: int = 0
    total: int = 0
    least: int = 0
    most: int = 0

    def add(self, nanoseconds: int) -> None:
        """Take one time."""
        self.add_all((nanoseconds,))

    def add_all(self, times: Sequence[int]) -> None:
        """Take many."""
        if not times:
            return
        buckets = self.buckets
        known = buckets.get
        for time in times:
            # `bucket` written out: this runs for every step of every session.
            width = time.bit_length() - 8
            if width > 0:
                if width > 19:
                    width = 19
                time = (time >> width << width) + (1 << width - 1)
            buckets[time] = known(time, 0) + 1
        least, most = min(times), max(times)
        self.least = min(least, self.least) if self.count else least
        self.most = max(most, self.most)
        self.count += len(times)
        self.total += sum(times)

    def merge(self, other: Histogram) -> None:
        """Add another's times; the result is as if all had been taken here."""
        if not other.count:
            return
        self.least = min(self.least, other.least) if self.count else other.least
        self.most = max(self.most, other.most)
        self.count += other.count
        self.total += other.total
        buckets = self.buckets
        for middle, count in other.buckets.items():
            buckets[middle] = buckets.get(middle, 0) + count

    def percentiles(self, *shares: float) -> list[float]:
        """Return nearest-rank percentiles in milliseconds: the least time that each share of all does not exceed.

        The share 1.0 is the exact maximum. `shares` ascend from above 0 to 1.

        Raises:
            ValueError: there are no times.
        """
        if not self.count:
            raise ValueError("an empty histogram has no percentiles")
        found = []
        ordered = iter(sorted(self.buckets.items()))
        reached, middle = 0, self.least
        for share in shares:
            rank = max(math.ceil(share * self.count), 1)
            while reached < rank:
                middle, count = next(ordered)
                reached += count
            exact = self.most if rank == self.count else min(max(middle, self.least), self.most)
            found.append(exact / NANOSECONDS)
        return found

    def distribution(self, most: int) -> list[tuple[float, int]]:
        """Return how many took about how many milliseconds, ascending, in at most so many pairs.

        Neighbours are counted together, at the longer time of theirs, where there are more buckets.
        """
        ordered = sorted(self.buckets.items())
        stride = max(1, math.ceil(len(ordered) / most))
        groups = [ordered[start : start + stride] for start in range(0, len(ordered), stride)]
        return [(min(group[-1][0], self.most) / NANOSECONDS, sum(count for _, count in group)) for group in groups]

    def packed(self) -> dict[str, object]:
        """Return it as plain numbers and lists, for a message to another process."""
        return {
            "total": self.total,
            "least": self.least,
            "most": self.most,
            "middles": list(self.buckets),
            "counts": list(self.buckets.values()),
        }

    @classmethod
    def unpacked(cls, data: Mapping[str, object]) -> Histogram:
        """Read what `packed` returned.

        Raises:
            ValueError: it is something else.
        """
        middles, counts = data.get("middles"), data.get("counts")
        ends = [data.get(name) for name in ("total", "least", "most")]
        if not (isinstance(middles, list) and isinstance(counts, list) and len(middles) == len(counts)):
            raise ValueError("a histogram has as many middles as counts")
        if not all(isinstance(number, int) and number >= 0 for number in (*ends, *middles, *counts)):
            raise ValueError("a histogram is made of natural numbers")
        total, least, most = (number for number in ends if isinstance(number, int))
        return cls(dict(zip(middles, counts, strict=True)), sum(counts), total, least, most)
