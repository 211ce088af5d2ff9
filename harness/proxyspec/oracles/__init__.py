"""The oracles: what shows whose session a target believes it has. Every module here is one, called like its module.

A module's `ORACLE` says what it reads: the replies of the session, or something outside the connection in which the
session leaves a trace. Modules whose names begin with an underscore are what several of them share.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from proxyspec.oracles._base import OracleKind

__all__ = ["REGISTRY", "OracleKind", "discovered"]


def discovered() -> dict[str, OracleKind]:
    """Import every module of this package and collect what they define.

    Raises:
        TypeError: one of them defines no oracle.
    """
    found: dict[str, OracleKind] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name.startswith("_"):
            continue
        kind = getattr(importlib.import_module(f"{__name__}.{module.name}"), "ORACLE", None)
        if not isinstance(kind, OracleKind):
            raise TypeError(f"{__name__}.{module.name} defines no ORACLE: an OracleKind, as its neighbours do")
        found[module.name] = kind
    return found


#: Name in a target profile -> oracle.
REGISTRY: Mapping[str, OracleKind] = discovered()
