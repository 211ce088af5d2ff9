"""`proxyspec send`: one connection to a server, and what was said on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

from proxyspec.cli.fields import field_lines
from proxyspec.cli.options import AllowOption, TargetArgument, TimeoutOption, TrustedOption
from proxyspec.cli.target import declared_target
from proxyspec.errors import ExitCode, UsageError
from proxyspec.interruption import until_interrupted
from proxyspec.model import Case, Catalogue, EventKind, Level, Send, Source, Target, Transcript, Via
from proxyspec.printable import printable
from proxyspec.selection import hint

__all__ = ["send"]

#: Received bytes shown of one piece.
SHOWN = 2048


def _case(text: str, catalogue: Catalogue) -> Case:
    from proxyspec.hexinput import looks_like_hex, parse_hex

    if text in catalogue:
        return catalogue[text]
    if looks_like_hex(text):
        data = parse_hex(text)
        return Case(id="hex", title="Bytes of your own", section="", level=Level.EITHER, steps=(Send(data),), accept=())
    close = hint(text, (case.id for case in catalogue.cases))
    raise UsageError(f"{text[:80]!r} is no case and no hexadecimal digits{close}")


def _connect(case: Case, target: Target) -> Transcript:
    from proxyspec.conformance import direct_roads, tls_road
    from proxyspec.driver import drive
    from proxyspec.scheduler import Roads
    from proxyspec.wire import TcpWire

    if case.via is Via.PACKETS:
        raise UsageError(f"{case.id} is sent segment by segment: use `proxyspec tcp --case {case.id}`")
    if case.via is not Via.DIRECT:
        raise UsageError(
            f"{case.id} goes through HAProxy: use proxyspec run {target.url} --case {case.id} --haproxy auto"
        )
    road = Roads(direct_roads(target), {}, tls=tls_road(target)).of(case)
    if road is None:
        raise UsageError(
            f"{case.id} needs a port whose connections begin with TLS: name it with tls_port in a target profile"
            if case.source is Source.TRUSTED
            else f"{case.id} is played by a peer the target does not trust, and no such address is declared: add "
            "--untrusted"
        )
    return until_interrupted(drive(case, target, road, TcpWire(road)))


def _shown(data: bytes) -> str:
    more = f"… {len(data) - SHOWN} bytes more" if len(data) > SHOWN else ""
    return repr(data[:SHOWN])[2:-1] + more


def _lines(transcript: Transcript) -> Iterator[str]:
    """Yield the transcript; when the case's own bytes are all out, they are read field by field."""
    own, annotated = bytearray(), False
    for event in transcript.events:
        if event.kind is EventKind.SENT and not annotated:
            own += event.data
        if event.kind is EventKind.STEPS_DONE:
            annotated = True
            yield from field_lines(bytes(own), " " * 12) if own else ()
            continue
        said = f"  {printable(event.note)}" if event.note else ""
        head = f"{event.at:9.4f}  {event.kind:14}"
        if event.kind is EventKind.RECEIVED:
            for place, line in enumerate(event.data.splitlines(keepends=True)):
                yield f"{head if place == 0 else ' ' * len(head)}  {_shown(line)}"
        elif event.data:
            yield f"{head}  {_shown(event.data)}{said}"
        else:
            yield f"{head}{said}"
    if not annotated and own:
        yield from field_lines(bytes(own), " " * 12)


def send(
    target: TargetArgument,
    what: Annotated[
        str, typer.Argument(metavar="CASE|HEX", help="A case's id, or hexadecimal digits.", show_default=False)
    ],
    header_timeout: TimeoutOption = 30.0,
    trusted: TrustedOption = None,
    untrusted: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Local address the target does not trust, for cases of such a peer."),
    ] = None,
    allow_target: AllowOption = None,
) -> int:
    """Make one connection, send a case or bytes of your own, and show all that was said.

    After the bytes comes the probe of every case: EHLO twice and QUIT, if the server greets. Nothing is judged: one
    connection without its control proves nothing.

    Exit codes: 0 the connection was made, 2 usage, 3 it was not, 130 interrupted.

    Examples:

      proxyspec send smtp://127.0.0.1:2525 v1/port/leading-zero

      proxyspec send smtp://127.0.0.1:2525 '50 52 4f 58 59 20 55 4e 4b 4e 4f 57 4e 0d 0a'
    """
    from proxyspec.judge import outcome_of
    from proxyspec.oracle import ORACLES
    from proxyspec_scenarios import catalogue

    case = _case(what, catalogue())
    profile = declared_target(
        target, header_timeout=header_timeout, trusted=trusted, untrusted=untrusted, allow=allow_target
    )
    source = "" if case.source is Source.TRUSTED else f", played by an {case.source} peer"
    print(f"{case.id}: {case.title} ({profile.url}{source})")
    transcript = _connect(case, profile)
    for line in _lines(transcript):
        print(line)
    print(f"outcome: {outcome_of(case, transcript, ORACLES['ehlo'])}; ended: {transcript.ending}")
    return ExitCode.OK if transcript.first(EventKind.CONNECTED) is not None else ExitCode.UNJUDGEABLE
