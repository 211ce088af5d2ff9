"""Oracles: what a session shows of the address the target believes in.

An oracle is a pure function from the session's replies to a `View`, or None where it tells nothing. What shows
outside the connection, in a mailbox, in a log, or by a pattern of the user's own, is a witness's to find while the run
goes on (`proxyspec.witness`); it is in the transcript then, and goes before what the replies tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from proxyspec.model import View
from proxyspec.replies import Reply

__all__ = ["ORACLES", "Oracle", "ehlo_oracle", "no_oracle"]

Oracle = Callable[[Sequence[Reply]], View | None]

_LITERAL = re.compile(rb"\[(?:IPv6:)?([0-9A-Fa-f:.]{2,45})\]")


def ehlo_oracle(replies: Sequence[Reply]) -> View | None:
    """Read the last address literal in the first line of a greeting reply: `250-mx Hello probe [192.0.2.1]`.

    The last EHLO reply of the session counts: an address that changed in mid-session shows there.
    """
    for reply in reversed(replies):
        if reply.code != 250 or not reply.lines:
            continue
        for literal in reversed(_LITERAL.findall(reply.lines[0])):
            try:
                return View.of(literal.decode("ascii"))
            except ValueError:
                continue
    return None


def no_oracle(replies: Sequence[Reply]) -> View | None:
    """Tell nothing: address cases become missing coverage, shown as such."""
    return None


#: Name in a target profile -> oracle.
ORACLES: Mapping[str, Oracle] = {
    "ehlo": ehlo_oracle,
    "none": no_oracle,
    "received": no_oracle,
    "log": no_oracle,
    "reply": no_oracle,
}
