"""Oracles as the judge needs them: from the replies of a session to the address they show.

What shows outside the connection, in a mailbox, in a log, or by a pattern of the user's own, is a witness's to find
while the run goes on (`proxyspec.witness`); it is in the transcript then, and goes before what the replies tell.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxyspec.oracles import REGISTRY
from proxyspec.oracles._base import Oracle
from proxyspec.oracles._base import nothing as no_oracle
from proxyspec.oracles.ehlo import ehlo_oracle

__all__ = ["ORACLES", "Oracle", "ehlo_oracle", "no_oracle"]

#: Name in a target profile -> oracle.
ORACLES: Mapping[str, Oracle] = {name: kind.replies for name, kind in REGISTRY.items()}
