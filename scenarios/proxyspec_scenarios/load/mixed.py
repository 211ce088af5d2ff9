"""Mixed: mail at full speed; every hundredth connection is a canary: a wrong header, or a look at the address told.

Under load as without it a server has to refuse what is no header, and to keep one session's address from another. The
second is judged where the server's reply to EHLO tells the address, as the first such look finds out.

Alone:      locust -f mixed.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile mixed
"""

import itertools
from collections.abc import Iterator

from locust import task

from proxyspec.load.canaries import ADDRESS_HIDDEN, ADDRESS_TOLD, REFUSED, strangers, wrong_headers
from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.judging import happened
from proxyspec.load.plugin import Profile, declare
from proxyspec.load.scripts import ask, refusal

#: One connection in so many is a canary.
EVERY = 100
#: How late an answer to a wrong header is still worth waiting for, in seconds beyond the deadline.
SLACK = 10.0

declare(
    Profile(
        users=20,
        spawn_rate=20,
        seconds=20,
        thresholds=("errors < 0.1%", "errors(refusal) == 0", "errors(ehlo) == 0", "p99(header_to_banner) < 1s"),
        checks=(happened(REFUSED, "wrong headers refused"),),
        needs_header=True,
    )
)

_turns = itertools.count()
_wrong: Iterator[bytes] = itertools.cycle(wrong_headers())


class Teller:
    """Whether the server tells addresses; None until the first look."""

    tells: bool | None = None


class Mixed(ProxySmtpUser):
    """Delivers mail, and now and then something else."""

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def deliver(self) -> None:
        """One session, or a canary in its place."""
        turn = next(_turns)
        if turn % EVERY:
            self.client.session()
        elif turn // EVERY % 2:
            deadline = self.environment.parsed_options.header_timeout
            self.client.play(refusal(), plan=REFUSED, hail=next(_wrong), patience=deadline + SLACK)
        else:
            self._ask()

    def _ask(self) -> None:
        address, header = next(self._strangers)
        foreseen = frozenset() if Teller.tells else frozenset({ADDRESS_HIDDEN})
        failure = self.client.play(ask(address), plan=ADDRESS_TOLD, hail=header, foreseen=foreseen)
        if Teller.tells is None and (failure is None or str(failure) == ADDRESS_HIDDEN):
            Teller.tells = failure is None

    def on_start(self) -> None:
        """Make the headers of the looks."""
        chosen = vars(self.environment.parsed_options)
        self._strangers = strangers(self.session_options(chosen).header)
