"""No oracle: cases about addresses are missing coverage, shown as such."""

from __future__ import annotations

from proxyspec.oracles._base import OracleKind

__all__ = ["ORACLE"]

ORACLE = OracleKind(reads="nothing")
