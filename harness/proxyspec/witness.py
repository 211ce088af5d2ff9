"""The witness of a target: it looks outside the connection, while a run goes on, for the trace of each session.

Which targets have one is for their oracles to say (`proxyspec.oracles`).
"""

from __future__ import annotations

from proxyspec.errors import UsageError
from proxyspec.model import Target
from proxyspec.oracles import REGISTRY
from proxyspec.oracles._base import Sighting, Witness

__all__ = ["Sighting", "Witness", "witness_of"]


def witness_of(target: Target) -> Witness | None:
    """Return the witness the target profile names, or None if its oracle needs none.

    Raises:
        UsageError: the oracle lacks its file, pattern or recipient, or they are of no use.
    """
    kind = REGISTRY.get(target.oracle)
    if kind is None:
        return None
    for field in kind.needs:
        if getattr(target, field) is None:
            raise UsageError(f"the oracle {target.oracle!r} needs {field}: say it in the profile or as an option")
    return None if kind.witness is None else kind.witness(target)
