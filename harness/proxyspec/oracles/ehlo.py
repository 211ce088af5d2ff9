"""The address literal in the first line of the EHLO reply: `250-mx Hello probe [192.0.2.1]`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxyspec.model import View
from proxyspec.oracles._base import OracleKind, view_of
from proxyspec.replies import Reply

__all__ = ["ORACLE", "ehlo_oracle"]

_LITERAL = re.compile(rb"\[(?:IPv6:)?([0-9A-Fa-f:.]{2,45})\]")


def ehlo_oracle(replies: Sequence[Reply]) -> View | None:
    """Read the last literal of the last EHLO reply: an address that changed in mid-session shows there."""
    for reply in reversed(replies):
        if reply.code != 250 or not reply.lines:
            continue
        for literal in reversed(_LITERAL.findall(reply.lines[0])):
            if (view := view_of(literal.decode("ascii"))) is not None:
                return view
    return None


ORACLE = OracleKind(reads="the address literal in the first line of the EHLO reply", replies=ehlo_oracle)
