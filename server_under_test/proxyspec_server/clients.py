"""How many connections each client has at the moment, so that one client cannot have them all."""


class Clients:
    """Counts connections by the client's address: the proxied one, as all of a proxy's clients share its own."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def enter(self, host: str, limit: int) -> bool:
        """Count one more connection of `host`, unless it has `limit` already; returns whether it was counted."""
        count = self._counts.get(host, 0)
        if count >= limit:
            return False
        self._counts[host] = count + 1
        return True

    def leave(self, host: str) -> None:
        """Count one connection less."""
        count = self._counts.get(host, 0)
        if count > 1:
            self._counts[host] = count - 1
        else:
            self._counts.pop(host, None)

    def __len__(self) -> int:
        """How many clients have a connection."""
        return len(self._counts)
