"""Reference servers for a whole run: one that trusts and one that does not, with a port for every check."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from proxyspec.checks.journal import contacts_in, listening_in
from proxyspec.checks.model import Contact
from proxyspec.errors import HarnessError
from proxyspec.reference import PATIENCE, reference_server

__all__ = ["References", "references"]

HERE: Final = "127.0.0.1"
#: Well above the time any check is given, so that no deadline of the server's own meets that of a check.
_HEADER_TIMEOUT: Final = "60"
_LOOK_AGAIN: Final = 0.02


class References:
    """Free ports of both servers, and what they have counted."""

    def __init__(self, journals: dict[bool, Path], ports: dict[bool, list[int]]) -> None:
        self._journals = journals
        self._ports = ports

    def take(self, *, wants_header: bool) -> int:
        """Return a port nobody has taken yet, of the server that does or does not wait for headers."""
        return self._ports[wants_header].pop()

    def contacts(self) -> dict[int, list[Contact]]:
        """Return the checks that have ended, by port.

        Raises:
            HarnessError: a log cannot be read.
        """
        found: dict[int, list[Contact]] = {}
        for journal in self._journals.values():
            try:
                with journal.open("rb") as lines:
                    found |= contacts_in(lines)
            except OSError as error:
                raise HarnessError(f"{journal}, the reference server's log: {error.strerror}") from error
        return found


@contextlib.contextmanager
def references(trusting: int, plain: int) -> Iterator[References]:
    """Run both servers for the time of the context, with so many ports each.

    Raises:
        HarnessError: a server does not start.
    """
    from proxyspec_haproxy.engines.workspace import Workspace

    with contextlib.ExitStack() as stack:
        # What a killed run leaves of it the next one sweeps up.
        workspace = Workspace()
        stack.callback(workspace.remove)
        journals: dict[bool, Path] = {}
        ports: dict[bool, list[int]] = {}
        for wants_header, count in ((True, trusting), (False, plain)):
            journal = workspace.run_dir / ("trusting.log" if wants_header else "plain.log")
            trust = ["--trust", "127.0.0.0/8", "--header-timeout", _HEADER_TIMEOUT] if wants_header else []
            more = ["--listen", f"{HERE}:0"] * max(0, count - 1)
            stack.enter_context(reference_server([*more, *trust], journal))
            journals[wants_header] = journal
            ports[wants_header] = _wait_for_ports(journal, max(1, count))
        yield References(journals, ports)


def _wait_for_ports(journal: Path, count: int) -> list[int]:
    deadline = time.monotonic() + PATIENCE
    while True:
        with journal.open("rb") as lines:
            ports = listening_in(lines)
        if len(ports) >= count:
            return ports
        if time.monotonic() > deadline:
            raise HarnessError(f"the reference server listens on {len(ports)} of {count} ports")
        time.sleep(_LOOK_AGAIN)
