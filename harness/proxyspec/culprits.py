"""Which of many suspects brings something about: groups of them are tried, and halves of the groups that do.

A few among hundreds are found in far fewer trials than there are suspects.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeVar

__all__ = ["Search"]

T = TypeVar("T")

#: Suspects of the first groups.
GROUP: Final = 32


class Search(Generic[T]):
    """Looks for those who do it by themselves, in two trials in a row: the first may show what another did late."""

    def __init__(self, does: Callable[[Sequence[T]], Awaitable[bool]], most: int) -> None:
        """`does` tries a group and tells whether it happened; the search ends when `most` are found."""
        self._does = does
        self._most = most
        self.found: list[T] = []
        #: Those about whom nothing is known, as enough were found before.
        self.untried: list[T] = []

    async def among(self, suspects: Sequence[T]) -> None:
        """Try these, in their order."""
        for start in range(0, len(suspects), GROUP):
            await self._try(suspects[start : start + GROUP])

    async def _try(self, group: Sequence[T]) -> None:
        if len(self.found) >= self._most:
            self.untried += group
        elif await self._does(group):
            await self._narrow(group)

    async def _narrow(self, group: Sequence[T]) -> None:
        """Find those who did it in a group that did."""
        if len(self.found) >= self._most:
            self.untried += group
        elif len(group) == 1:
            if await self._does(group) and await self._does(group):
                self.found += group
        else:
            one, other = group[: len(group) // 2], group[len(group) // 2 :]
            if await self._does(one):
                await self._narrow(one)
                await self._try(other)
            else:
                await self._narrow(other)
