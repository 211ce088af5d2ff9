"""The traffic scenarios: what happens to mail through HAProxy while servers die, drain, fill up and return."""

from __future__ import annotations

from typing import Final

from proxyspec.traffic.expectations import (
    Carried,
    CutShort,
    Down,
    Expectation,
    Faults,
    Intact,
    NoFaults,
    NoFaultsOnceDown,
    NoNewSessions,
    Offered,
    OldSessionsFinish,
    Queued,
    Recorded,
    Redispatched,
    Returns,
    RightClients,
    Shares,
)
from proxyspec.traffic.model import Action, ClientHeader, Clients, Pool, Scenario, Script
from proxyspec_haproxy.topology import CheckKind, ProxyHeader, Timeouts

__all__ = ["SCENARIOS"]

#: Another server at once when one refuses, and up to three of them.
_REDISPATCH: Final = ("retries 3", "option redispatch 1")
#: Each client holds its session for about 0.3 s: some sixty are open whenever something happens.
_CONVERSING: Final = Clients(pause=0.05)
_SOUND: Final[tuple[Expectation, ...]] = (Intact(), RightClients(), Carried())
_LOADED: Final = (*_SOUND, Offered())

#: Deadlines of the servers in the scenarios about time limits, in seconds.
_DEADLINE: Final = 2.0
_SHORT: Final = 1.0
_LONG: Final = 6.0
_HASTY: Final = ("--header-timeout", f"{_DEADLINE:g}", "--idle-timeout", f"{_DEADLINE:g}")
#: Clients that wait for a banner, or after it, and say nothing.
_WAITING: Final = Clients(at_once=20, pause=30.0, attempts=1, patience=10.0)


def _deadline(name: str, title: str, client: float, server: float, expected: CutShort) -> Scenario:
    """No header reaches a server that waits for one: traffic without send-proxy to a server that trusts HAProxy."""
    return Scenario(
        name=name,
        title=title,
        seconds=0.0,
        pool=Pool(count=1, arguments=_HASTY, proxy=ProxyHeader.NONE, check=CheckKind.NONE),
        clients=(_WAITING,),
        timeouts=Timeouts(connect=2.0, client=client, server=server),
        expects=(expected,),
    )


def _idle(name: str, title: str, client: float, server: float, expected: CutShort) -> Scenario:
    """A client that says nothing after the banner, to a server that has its own opinion of that."""
    return Scenario(
        name=name,
        title=title,
        seconds=0.0,
        pool=Pool(count=1, arguments=_HASTY, check=CheckKind.NONE),
        clients=(_WAITING,),
        timeouts=Timeouts(connect=2.0, client=client, server=server),
        expects=(expected,),
    )


SCENARIOS: Final = (
    Scenario(
        name="round-robin",
        title="Five servers share the mail evenly",
        seconds=4.0,
        pool=Pool(count=5),
        expects=(*_LOADED, NoFaults(), Shares(slack=2.0)),
    ),
    Scenario(
        name="weights",
        title="Servers weighted 1, 2 and 3 get mail in these proportions",
        seconds=4.0,
        pool=Pool(weights=(1, 2, 3)),
        clients=(Clients(rate=50.0),),
        expects=(*_SOUND, NoFaults(), Shares(slack=3.0)),
    ),
    Scenario(
        name="death",
        title="A server is killed: its new sessions go to others at once, nothing is lost",
        seconds=5.0,
        clients=(_CONVERSING,),
        script=(Script(1.5, Action.KILL, 0),),
        directives=_REDISPATCH,
        expects=(*_LOADED, Down(within=1.0), Redispatched(), NoFaultsOnceDown()),
    ),
    Scenario(
        name="no-redispatch",
        title="The same without redispatching: clients feel it until HAProxy has noticed, nothing is lost",
        seconds=5.0,
        clients=(_CONVERSING,),
        script=(Script(1.5, Action.KILL, 0),),
        directives=("retries 0",),
        expects=(*_LOADED, Down(within=1.0), NoFaultsOnceDown()),
    ),
    Scenario(
        name="restart",
        title="A server stops with a 421 to its sessions and starts again",
        seconds=6.0,
        clients=(_CONVERSING,),
        script=(Script(1.0, Action.STOP, 0), Script(3.0, Action.START, 0)),
        directives=_REDISPATCH,
        expects=(*_LOADED, Down(within=1.0), Returns(within=1.0)),
    ),
    Scenario(
        name="drain",
        title="A drained server ends its sessions, is stopped and returns: no client notices",
        seconds=6.0,
        clients=(_CONVERSING,),
        script=(
            Script(1.0, Action.DRAIN, 0),
            Script(1.5, Action.EMPTY, 0),
            Script(2.0, Action.STOP, 0),
            Script(3.0, Action.START, 0),
            Script(4.0, Action.READY, 0),
        ),
        directives=_REDISPATCH,
        expects=(*_LOADED, NoFaults(), NoNewSessions(), Returns(within=1.5)),
    ),
    Scenario(
        name="flapping",
        title="A server dies and returns three times",
        seconds=6.0,
        clients=(_CONVERSING,),
        script=tuple(
            entry
            for round_ in range(3)
            for entry in (Script(0.5 + 2 * round_, Action.KILL, 0), Script(1.5 + 2 * round_, Action.START, 0))
        ),
        directives=_REDISPATCH,
        expects=(*_LOADED, Down(within=1.0), Returns(within=1.0), Redispatched()),
    ),
    Scenario(
        name="reload",
        title="HAProxy reloads twice: no connection is refused, open sessions end with the old process",
        seconds=5.0,
        clients=(_CONVERSING, Clients(rate=5.0, pause=0.4)),
        script=(Script(1.5, Action.RELOAD), Script(3.0, Action.RELOAD)),
        directives=_REDISPATCH,
        expects=(*_LOADED, NoFaults(), OldSessionsFinish(beyond=1.0)),
    ),
    _deadline(
        "deadline-client",
        "timeout client below the server's header deadline: HAProxy cuts, without a word to the client",
        _SHORT,
        _LONG,
        CutShort("closed at banner", _SHORT, "cD"),
    ),
    _deadline(
        "deadline-server",
        "timeout server below the server's header deadline: HAProxy cuts, without a word to the client",
        _LONG,
        _SHORT,
        CutShort("closed at banner", _SHORT, "sD"),
    ),
    _deadline(
        "deadline-beyond",
        "Timeouts beyond the server's header deadline: its 421 reaches the client",
        _LONG,
        _LONG,
        CutShort("421 at banner", _DEADLINE, "--"),
    ),
    _idle(
        "idle-client",
        "timeout client below the server's idle limit: HAProxy cuts, without a word to the client",
        _SHORT,
        _LONG,
        CutShort("closed at ehlo", _SHORT, "cD"),
    ),
    _idle(
        "idle-server",
        "timeout server below the server's idle limit: HAProxy cuts, without a word to the client",
        _LONG,
        _SHORT,
        CutShort("closed at ehlo", _SHORT, "sD"),
    ),
    _idle(
        "idle-beyond",
        "Timeouts beyond the server's idle limit: its 421 reaches the client",
        _LONG,
        _LONG,
        CutShort("421 at ehlo", _DEADLINE, "--"),
    ),
    Scenario(
        name="queue",
        title="More clients than maxconn lets through wait their turn, and all are served",
        seconds=0.0,
        pool=Pool(count=2, maxconn=5),
        clients=(Clients(at_once=60, pause=0.04),),
        expects=(*_SOUND, NoFaults(), Queued(least=40)),
    ),
    Scenario(
        name="queue-timeout",
        title="Clients queue for longer than timeout queue: HAProxy lets them go without a word",
        seconds=0.0,
        pool=Pool(count=1, maxconn=2),
        clients=(Clients(at_once=12, pause=0.3, attempts=1),),
        timeouts=Timeouts(connect=2.0, check=3.0, queue=1.0),
        expects=(Intact(), RightClients(), Faults(("closed at banner",), least=10), Queued(least=10)),
    ),
    Scenario(
        name="full",
        title="Servers at their own limit say 421: clients come back later, nothing is lost",
        seconds=0.0,
        pool=Pool(count=2, arguments=("--max-connections", "8")),
        clients=(Clients(at_once=40, pause=0.05, attempts=20),),
        expects=(*_SOUND, Faults(("421 at banner", "closed at banner")), Recorded()),
    ),
    Scenario(
        name="full-maxconn",
        title="Servers with a limit of their own and a maxconn well below it: nobody ever sees a 421",
        seconds=0.0,
        pool=Pool(count=2, arguments=("--max-connections", "12"), maxconn=4),
        clients=(Clients(at_once=40, pause=0.05),),
        expects=(*_SOUND, NoFaults(), Queued()),
    ),
    Scenario(
        name="chain",
        title="Behind accept-proxy the servers see the client the first proxy names, whichever version it speaks",
        seconds=3.0,
        pool=Pool(count=2, proxy=ProxyHeader.V2),
        clients=(Clients(rate=10.0, header=ClientHeader.V1), Clients(rate=10.0, header=ClientHeader.V2)),
        accept_proxy=True,
        expects=(*_SOUND, NoFaults()),
    ),
    Scenario(
        name="trust-list",
        title="expect-proxy believes the listed proxy and takes others for clients",
        seconds=3.0,
        pool=Pool(count=2),
        clients=(
            Clients(rate=10.0, header=ClientHeader.V2, sources=("127.0.2.1",)),
            Clients(rate=10.0, sources=("127.0.2.2",)),
        ),
        directives=("tcp-request connection expect-proxy layer4 if { src 127.0.2.1 }",),
        expects=(*_SOUND, NoFaults()),
    ),
    Scenario(
        name="forged",
        title="A header from a peer that expect-proxy does not list is a command the server refuses",
        seconds=0.0,
        pool=Pool(count=1),
        clients=(Clients(at_once=10, header=ClientHeader.V1, sources=("127.0.2.3",), attempts=1),),
        directives=("tcp-request connection expect-proxy layer4 if { src 127.0.2.1 }",),
        expects=(Faults(("503 at ehlo",), least=10),),
    ),
)
