"""What a case does beside its own connection: neighbours, crowds, resets, TLS, witnesses, the target's processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from proxyspec.casebook import LEFT, REAL, REFUSED, Chapter, catalogue_of, proxied
from proxyspec.driver import Aids, drive
from proxyspec.judge import judge
from proxyspec.model import (
    ASSUMED,
    Accept,
    Await,
    Capability,
    Case,
    Crowd,
    Ending,
    Event,
    EventKind,
    Judgement,
    Level,
    Login,
    Neighbour,
    OutcomeKind,
    Reset,
    Send,
    Source,
    StartTls,
    Step,
    Target,
    Transcript,
    Verdict,
    View,
)
from proxyspec.oracle import ehlo_oracle
from proxyspec.processor import Spent
from proxyspec.scheduler import Judged, Plan, Roads, run_cases
from proxyspec.tls import TlsClient
from proxyspec.wire import Road, Wire
from proxyspec.witness import Sighting

from .scripted_wire import CLIENT, FIN, Said, Script, ScriptedWire, smtp_server
from .virtual_time import run_virtually

TARGET = Target(host="127.0.0.1", port=25)
ROAD = Road("127.0.0.1", 25)
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
OTHER = b"PROXY TCP4 203.0.113.9 192.0.2.2 1111 25\r\n"
NEXT = Neighbour(OTHER, "203.0.113.9")


def takes_line(received: bytes) -> tuple[int, str] | None:
    line, end, _ = received.partition(b"\r\n")
    if not end or not line.startswith(b"PROXY TCP4 "):
        return None
    return len(line) + 2, line.split(b" ")[2].decode()


def healthy() -> Script:
    return smtp_server(takes_line)


def case(*steps: Step, accept: tuple[Accept, ...] = proxied(), **options: object) -> Case:
    fields: dict[str, object] = {"title": "t", "section": "2", "level": Level.MUST, **options}
    return Case(id="c/case", steps=steps, accept=accept, **fields)  # type: ignore[arg-type]


class Net:
    """Makes wires, each with a script of its own, and remembers them."""

    def __init__(self, script: Callable[[], Script] = healthy) -> None:
        self.wires: list[ScriptedWire] = []
        self._script = script

    def __call__(self, road: Road) -> Wire:
        self.wires.append(ScriptedWire(self._script()))
        return self.wires[-1]


def seen(case: Case, net: Net, aids: Aids | None = None, own: Script | None = None) -> Transcript:
    wire = ScriptedWire(own if own is not None else healthy())
    aids = replace(aids, another=net) if aids is not None else Aids(another=net)
    return run_virtually(drive(case, TARGET, ROAD, wire, aids))


def verdict(case: Case, transcript: Transcript) -> Judgement:
    return judge(case, transcript, None, None, TARGET, ehlo_oracle)


def kinds(transcript: Transcript) -> list[EventKind]:
    return [event.kind for event in transcript.events]


def test_a_neighbour_is_served_before_and_after() -> None:
    one, net = case(Send(HEADER), beside=NEXT), Net()
    transcript = seen(one, net)
    assert len(net.wires) == 1
    assert net.wires[0].sent.startswith(OTHER + b"EHLO first")
    assert net.wires[0].sent.endswith(b"QUIT\r\n")
    assert net.wires[0].closed
    beside = transcript.first(EventKind.BESIDE)
    assert beside is not None
    assert beside.data.count(b"[203.0.113.9]") == 2
    assert verdict(one, transcript).verdict is Verdict.PASS


def test_a_neighbour_that_takes_over_an_address_is_told() -> None:
    believed = {"address": "0.0.0.0"}

    def leaking() -> Script:
        """Every session has the address of the last header that came, on whichever connection."""
        inner_header: list[int] = []
        answered = 0

        def script(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
            nonlocal answered
            found = takes_line(received)
            if found is None:
                return
            if not inner_header:
                inner_header.append(found[0])
                believed["address"] = found[1]
                yield 0, b"220 mx\r\n"
            for line in received[found[0] :].split(b"\r\n")[:-1][answered:]:
                answered += 1
                yield 0, f"250 mx Hello [{believed['address']}]\r\n".encode()
                if line == b"QUIT":
                    yield 0, FIN

        return script

    one = case(Send(HEADER), beside=NEXT)
    judged = verdict(one, seen(one, Net(leaking), own=leaking()))
    assert judged.verdict is Verdict.FAIL
    assert "203.0.113.9, was taken for 192.0.2.1" in judged.reason


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (lambda: lambda received, half: [(0, FIN)] if received else [], "was told nothing (server-fin)"),
        (lambda: lambda received, half: [(0, b"421 later\r\n"), (0, FIN)] if received else [], "b'421 later"),
        (lambda: lambda received, half: [(0, b"220 mx\r\n")] if received == OTHER else [], "b'220 mx"),
    ],
)
def test_a_target_that_serves_nobody_afterwards_fails(script: Callable[[], Script], words: str) -> None:
    one = case(Send(HEADER), then=NEXT)
    judged = verdict(one, seen(one, Net(script)))
    assert judged.verdict is Verdict.FAIL
    assert "after it was not served" in judged.reason
    assert words in judged.reason


def test_harm_done_to_others_counts_although_the_header_was_accepted() -> None:
    bad = case(Send(HEADER), accept=REFUSED)
    how = replace(bad, id="c/how", premise=bad.id, then=NEXT)
    accepted = seen(bad, Net())

    def judged(script: Callable[[], Script]) -> Judgement:
        found = seen(how, Net(script))
        return judge(how, found, None, None, TARGET, ehlo_oracle, premise=accepted, premise_case=bad)

    assert judged(healthy).verdict is Verdict.UNTESTABLE
    assert f"{bad.id} was accepted" in judged(healthy).reason
    harmed = judged(lambda: lambda received, half: [(0, FIN)] if received == OTHER else healthy()(received, half))
    assert harmed.verdict is Verdict.FAIL
    assert "after it was not served" in harmed.reason


def test_what_was_not_tried_is_no_pass() -> None:
    one = case(Send(HEADER), then=NEXT)
    transcript = seen(replace(one, then=None), Net())
    assert verdict(one, transcript).verdict is Verdict.FAIL
    assert "was not made" in verdict(one, transcript).reason


def test_a_reset_is_sent_and_judged_by_what_follows() -> None:
    one = case(Send(HEADER[:9]), Reset(), Send(b"never"), accept=LEFT, then=NEXT)
    wire = ScriptedWire(healthy())
    transcript = run_virtually(drive(one, TARGET, ROAD, wire, Aids(another=Net())))
    assert wire.sent == HEADER[:9]
    assert wire.was_reset
    assert kinds(transcript)[-1] is EventKind.AFTERWARDS
    assert EventKind.GAVE_UP not in kinds(transcript)
    assert verdict(one, transcript).verdict is Verdict.PASS
    assert verdict(replace(one, accept=REFUSED), transcript).verdict is Verdict.FAIL


def test_a_crowd_stands_while_the_case_runs() -> None:
    one, net = case(Send(HEADER), crowd=Crowd(30, b"PROXY")), Net()
    wire = ScriptedWire(healthy())
    connect = wire.connect

    async def looks_round() -> View:
        assert [held.sent for held in net.wires] == [b"PROXY"] * 30
        assert not any(held.closed for held in net.wires)
        return await connect()

    wire.connect = looks_round  # type: ignore[method-assign]
    transcript = run_virtually(drive(one, TARGET, ROAD, wire, Aids(another=net)))
    assert all(held.closed for held in net.wires)
    assert transcript.events[0].note == "30 of 30 connections hold 5 bytes each"
    assert verdict(one, transcript).verdict is Verdict.PASS


def test_awaiting_ends_the_header_phase() -> None:
    one = case(Send(HEADER), Await(), Send(b"NOOP\r\n"), extra_replies=1, expected_errors=1)
    transcript = seen(one, Net())
    order = kinds(transcript)
    assert order.count(EventKind.STEPS_DONE) == 1
    assert order.index(EventKind.STEPS_DONE) < order.index(EventKind.RECEIVED)
    assert verdict(one, transcript).verdict is Verdict.PASS


@pytest.mark.parametrize(("busy", "wanted"), [(0.01, Verdict.PASS), (0.98, Verdict.FAIL)])
def test_processes_that_spin_are_told(busy: float, wanted: Verdict) -> None:
    async def main() -> Transcript:
        loop = asyncio.get_running_loop()
        aids = Aids(another=Net(), processor=lambda: {1: Spent(loop.time() * busy, 0.0)})
        return await drive(case(Send(HEADER), then=NEXT), TARGET, ROAD, ScriptedWire(healthy()), aids)

    transcript = run_virtually(main())
    judged = verdict(case(Send(HEADER), then=NEXT), transcript)
    assert judged.verdict is wanted
    assert transcript.first(EventKind.PROCESSOR) is not None
    if wanted is Verdict.FAIL:
        assert "0.98 s of processor time in 1.00 s" in judged.reason


@pytest.mark.parametrize(
    ("ran", "waited", "wanted", "lasts"),
    [
        (0.02, 0.80, Verdict.PASS, 3.2),
        (0.11, 0.89, Verdict.FAIL, 5.2),
        (0.02, 0.98, Verdict.UNTESTABLE, 10.2),
    ],
)
def test_a_busy_machine_makes_nobody_spin(ran: float, waited: float, wanted: Verdict, lasts: float) -> None:
    """Seconds a second: what idles waits for its few turns, what spins gets its share, and they are watched longer."""

    async def main() -> tuple[Transcript, float]:
        loop = asyncio.get_running_loop()
        aids = Aids(another=Net(), processor=lambda: {1: Spent(loop.time() * ran, loop.time() * waited)})
        began = loop.time()
        return await drive(case(Send(HEADER), then=NEXT), TARGET, ROAD, ScriptedWire(healthy()), aids), (
            loop.time() - began
        )

    transcript, took = run_virtually(main())
    judged = verdict(case(Send(HEADER), then=NEXT), transcript)
    assert judged.verdict is wanted, judged.reason
    assert took == pytest.approx(lasts, abs=0.3)
    if wanted is Verdict.UNTESTABLE:
        assert "too busy" in judged.reason


def test_the_rest_behind_a_deadline_excuses_nobody_who_spun_before() -> None:
    """On a busy machine too little is seen of it by then to call it spinning, but nothing that would call it idle."""
    target = replace(TARGET, header_timeout=4.0)

    async def main() -> Transcript:
        loop = asyncio.get_running_loop()
        began = loop.time()

        def processor() -> dict[int, Spent]:
            until_now = min(loop.time() - began, target.header_timeout)
            return {1: Spent(until_now * 0.11, until_now * 0.89)}

        aids = Aids(another=Net(), processor=processor)
        return await drive(case(Send(HEADER), then=NEXT), target, ROAD, ScriptedWire(healthy()), aids)

    judged = verdict(case(Send(HEADER), then=NEXT), run_virtually(main()))
    assert judged.verdict is Verdict.UNTESTABLE, judged.reason


def test_processes_that_have_gone_are_not_watched() -> None:
    transcript = seen(case(Send(HEADER), then=NEXT), Net(), Aids(processor=lambda: None))
    assert transcript.first(EventKind.PROCESSOR) is None


class Mailbox:
    """A witness that shows a session at its third look."""

    recipient = "a@b.test"
    patience = 1.0

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.looks = 0
        self.begun: list[str] = []

    def begin(self, token: str) -> None:
        assert self.looks == 0, "a session begins before it is looked for"
        self.begun.append(token)

    def look(self, token: str, replies: bytes) -> Sighting | None:
        assert self.begun == [token]
        assert token.endswith(".probe.test")
        assert b"220 " in replies
        self.looks += 1
        if self.address is None or self.looks < 3:
            return None
        return Sighting(b"Received: ...", View(self.address))


def mail_server() -> Script:
    """Says nothing of addresses, and takes messages."""
    plain = smtp_server(takes_line)

    def script(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
        in_data = b"DATA\r\n" in received
        for delay, said in plain(received, half):
            if said == b"500 what?\r\n":
                said = b"354 go\r\n" if received.endswith(b"DATA\r\n") else b"250 ok\r\n" if not in_data else b""
            elif isinstance(said, bytes) and b"Hello" in said:
                said = b"250 mx\r\n"
            if said != b"":
                yield delay, said
        if received.endswith(b"\r\n.\r\n"):
            yield 0.0, b"250 taken\r\n"

    return script


def test_a_witness_shows_whose_session_it_was() -> None:
    one = case(Send(HEADER))
    transcript = seen(one, Net(), Aids(witness=Mailbox("192.0.2.1")), own=mail_server())
    assert b"RCPT TO:<a@b.test>\r\n" in transcript.sent
    assert b"Message-ID: <" in transcript.sent
    found = transcript.first(EventKind.SEEN)
    assert found is not None
    assert found.note == "192.0.2.1"
    assert verdict(one, transcript).verdict is Verdict.PASS
    wrong = seen(one, Net(), Aids(witness=Mailbox("127.0.0.9")), own=mail_server())
    assert verdict(one, wrong).verdict is Verdict.FAIL
    assert CLIENT.address == "127.0.0.9"
    assert verdict(replace(one, accept=REAL), wrong).outcome is not None


def test_a_witness_that_shows_nothing_is_missing_coverage() -> None:
    one, mailbox = case(Send(HEADER)), Mailbox(None)
    transcript = seen(one, Net(), Aids(witness=mailbox), own=mail_server())
    assert mailbox.looks == 21
    assert verdict(one, transcript).verdict is Verdict.UNTESTABLE


def test_no_message_is_left_by_a_case_that_wants_no_session() -> None:
    transcript = seen(case(Send(HEADER), accept=REFUSED), Net(), Aids(witness=Mailbox("192.0.2.1")), own=mail_server())
    assert b"RCPT" not in transcript.sent
    assert transcript.first(EventKind.SEEN) is None


def test_what_is_no_tls_fails_the_handshake_and_stays_readable() -> None:
    client = TlsClient()
    assert client.outgoing().startswith(b"\x16\x03"), "a ClientHello"
    assert client.feed(b"421 no header, no service\r\n") == b""
    assert client.failed
    assert not client.established

    def refuses(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
        return [(0, b"421 no header\r\n"), (0, FIN)] if received else []

    one = case(StartTls(), Send(HEADER), accept=REFUSED)
    transcript = seen(one, Net(), own=refuses)
    assert transcript.received == b"421 no header\r\n"
    assert HEADER not in transcript.sent
    assert verdict(one, transcript).outcome is not None
    assert verdict(one, transcript).verdict is Verdict.PASS


def test_a_starttls_whose_handshake_fails_is_no_session() -> None:
    def breaks_tls(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
        if received.endswith(b"STARTTLS\r\n"):
            return [(0, b"220 go ahead\r\n")]
        if b"STARTTLS" in received:
            return [(0, b"this is no TLS\r\n"), (0, FIN)]
        if received == HEADER:
            return [(0, b"220 mx\r\n")]
        return [(0, b"250 mx Hello [192.0.2.1]\r\n")] if received.endswith(b"first.probe.test\r\n") else []

    one = case(Send(HEADER), commands=(b"STARTTLS\r\n",))
    transcript = seen(one, Net(), own=breaks_tls)
    assert EventKind.TLS_FAILED in kinds(transcript)
    judged = verdict(one, transcript)
    assert judged.verdict is Verdict.FAIL
    assert judged.outcome is not None
    assert judged.outcome.kind is OutcomeKind.TLS_FAILED


def test_a_handshake_that_is_never_answered_ends() -> None:
    one = case(StartTls(HEADER))
    transcript = seen(one, Net(), own=lambda received, half: ())
    assert transcript.sent == HEADER, "the bytes of TLS are not those of the case"
    assert transcript.duration <= TARGET.give_up + 1
    assert verdict(one, transcript).verdict is Verdict.FAIL


def wave(chapter: Chapter, target: Target = TARGET, tls: Road | None = None) -> dict[str, Judged]:
    catalogue, judged = catalogue_of([chapter]), list[Judged]()
    plan = Plan(
        catalogue,
        catalogue.cases,
        target,
        Roads({Source.TRUSTED: ROAD}, {}, tls=tls),
        ehlo_oracle,
        connect=Net(),
    )
    run_virtually(run_cases(plan, judged.append))
    return {one.case.id: one for one in judged}


@pytest.mark.parametrize("capability", sorted(Capability))
def test_what_a_target_lacks_is_skipped_with_its_name(capability: Capability) -> None:
    chapter = Chapter("c", section="2", needs=[capability])
    chapter.accepts("case", HEADER, "t")
    absent = wave(chapter, replace(TARGET, lacks=frozenset({capability})))["c/case"].judgement
    assert (absent.verdict, absent.reason.endswith(f": {capability}")) == (Verdict.SKIP, True)
    unsaid = wave(chapter, tls=ROAD)["c/case"].judgement.verdict
    assert unsaid is (Verdict.PASS if capability in ASSUMED else Verdict.SKIP)
    declared = replace(TARGET, capabilities=frozenset({capability}))
    assert wave(chapter, declared, tls=ROAD)["c/case"].judgement.verdict is Verdict.PASS


def test_processes_are_watched_when_the_busy_cases_are_done() -> None:
    chapter = Chapter("c", section="2", control="c/good")
    chapter.accepts("good", HEADER, "t")
    for number in range(50):
        chapter.accepts(f"busy-{number}", (Send(HEADER), Await()), "t", commands=(b"NOOP\r\n",), expected_errors=1)
    chapter.rejects("waits", b"PROXY", "t", waits=True)
    chapter.accepts("watched", HEADER, "t", then=NEXT)
    order: list[str] = []

    async def main() -> None:
        catalogue = catalogue_of([chapter])
        plan = Plan(
            catalogue,
            catalogue.cases,
            TARGET,
            Roads({Source.TRUSTED: ROAD}, {}),
            ehlo_oracle,
            connect=Net(),
            aids=Aids(processor=lambda: {1: Spent(0.0, 0.0)}),
        )
        await run_cases(plan, lambda judged: order.append(judged.case.id))

    run_virtually(main())
    assert order[-2:] == ["c/watched", "c/waits"], "after the busy ones, while others wait"
    assert len(order) == 53


def test_the_judge_believes_the_witness_before_the_replies() -> None:
    rows = (
        Event(0.0, EventKind.CONNECTED),
        Event(0.0, EventKind.SENT, HEADER),
        Event(0.0, EventKind.STEPS_DONE),
        Event(
            0.1, EventKind.RECEIVED, b"220 mx\r\n250 mx Hello [192.0.2.1]\r\n250 mx Hello [192.0.2.1]\r\n221 bye\r\n"
        ),
        Event(0.2, EventKind.SERVER_FIN),
        Event(0.3, EventKind.SEEN, b"line", "127.0.0.9"),
    )
    judged = verdict(case(Send(HEADER)), Transcript("c/case", rows, CLIENT, CLIENT))
    assert judged.verdict is Verdict.FAIL
    assert judged.outcome is not None
    assert judged.outcome.kind is OutcomeKind.ACCEPTED_REAL


def session(*told: bytes, end: EventKind = EventKind.SERVER_FIN, trace: bytes = b"") -> Transcript:
    rows = [
        Event(0.0, EventKind.CONNECTED),
        Event(0.0, EventKind.SENT, HEADER),
        Event(0.0, EventKind.STEPS_DONE),
        Event(0.1, EventKind.RECEIVED, b"220 mx\r\n"),
        Event(0.1, EventKind.SENT, b"EHLO first\r\n"),
        Event(0.1, EventKind.RECEIVED, b"250 mx Hello [192.0.2.1]\r\n"),
        Event(0.1, EventKind.SENT, b"NOOP\r\n"),
        Event(0.1, EventKind.RECEIVED, b"".join(told)),
        Event(0.2, EventKind.SENT, b"EHLO second\r\n"),
        Event(0.2, EventKind.RECEIVED, b"250 mx Hello [192.0.2.1]\r\n"),
        Event(0.2, EventKind.SENT, b"QUIT\r\n"),
        Event(0.2, EventKind.RECEIVED, b"221 bye\r\n"),
        Event(0.3, end),
    ]
    if trace:
        rows.append(Event(0.4, EventKind.SEEN, trace, "192.0.2.1"))
    return Transcript("c/case", tuple(rows), CLIENT, CLIENT)


@pytest.mark.parametrize(
    ("options", "good", "bad", "words"),
    [
        (
            {"least_errors": 1, "expected_errors": 1},
            session(b"503 no\r\n"),
            session(b"250 ok\r\n"),
            "1 of its commands had to be refused, 0 were",
        ),
        ({"require": (b"STARTTLS",)}, session(b"250 STARTTLS\r\n"), session(), "does not say b'STARTTLS'"),
        ({"trace": (b"[IPv6:",)}, session(trace=b"from [IPv6:"), session(trace=b"from ["), "b'[IPv6:' is not in"),
        ({"trace": (b"[IPv6:",)}, session(trace=b"from [IPv6:"), session(), "b'[IPv6:' is not in"),
        ({"ends": True}, session(), session(end=EventKind.GAVE_UP), "does not end the connection"),
        ({}, session(), session(b"421 bye\r\n250 ok\r\n"), "treated-as-smtp"),
        ({"expected_errors": 9}, session(), session(b"421 bye\r\n250 ok\r\n"), "says 421 and goes on"),
    ],
)
def test_a_session_that_ran_may_still_break_a_rule(
    options: dict[str, object], good: Transcript, bad: Transcript, words: str
) -> None:
    one = replace(case(Send(HEADER)), **options)  # type: ignore[arg-type]
    assert verdict(one, good).verdict is Verdict.PASS
    assert verdict(one, bad).verdict is Verdict.FAIL
    assert words in verdict(one, bad).reason
    assert verdict(replace(one, level=Level.SHOULD), bad).verdict is Verdict.WARN


def test_a_session_the_target_ends_with_a_refusal_was_refused() -> None:
    rows = (
        Event(0.0, EventKind.CONNECTED),
        Event(0.0, EventKind.SENT, HEADER),
        Event(0.0, EventKind.STEPS_DONE),
        Event(0.1, EventKind.RECEIVED, b"220 mx\r\n250 mx\r\n421 no PROXY from you\r\n"),
        Event(0.2, EventKind.SERVER_FIN),
    )
    one = case(Send(HEADER), accept=REFUSED, expected_errors=1, source=Source.UNTRUSTED)
    ended = verdict(one, Transcript("c/case", rows, CLIENT, CLIENT))
    assert (ended.verdict, str(ended.outcome)) == (Verdict.PASS, "rejected-reply 421")
    stayed = (*rows[:4], Event(0.2, EventKind.SENT, b"QUIT\r\n"), Event(0.3, EventKind.SERVER_FIN))
    assert verdict(one, Transcript("c/case", stayed, CLIENT, CLIENT)).verdict is Verdict.FAIL


GREETED = (Event(0.0, EventKind.CONNECTED), Event(0.0, EventKind.SENT, HEADER), Event(0.0, EventKind.STEPS_DONE))


def exchange(*said: bytes, end: EventKind = EventKind.SERVER_FIN) -> Transcript:
    """Write a transcript as it is read: `> ` is sent, anything else received."""
    rows = [
        Event(0.1, EventKind.SENT, line[2:] + b"\r\n")
        if line.startswith(b"> ")
        else Event(0.1, EventKind.RECEIVED, line + b"\r\n")
        for line in said
    ]
    return Transcript("c/case", (*GREETED, *rows, Event(0.2, end)), CLIENT, CLIENT)


HELLO = b"250 mx Hello [192.0.2.1]"


@pytest.mark.parametrize(
    "said",
    [
        (b"220 mx", b"421 closing", b"> EHLO first"),
        (b"220 mx", b"> EHLO first", b"421 closing"),
        (b"220 mx", b"> EHLO first", b"421 closing", HELLO),
        (b"220 mx", b"421 closing", b"> EHLO first", HELLO),
        (b"220 mx", b"> EHLO first", HELLO, b"421 closing"),
        (b"220 mx", b"> EHLO first", HELLO, b"> EHLO second", b"421 closing", HELLO),
    ],
)
def test_a_command_that_crosses_a_421_changes_no_verdict(said: tuple[bytes, ...]) -> None:
    transcript = exchange(*said)
    refused = case(Send(HEADER), accept=REFUSED, source=Source.UNTRUSTED)
    assert (verdict(refused, transcript).verdict, str(verdict(refused, transcript).outcome)) == (
        Verdict.PASS,
        "rejected-reply 421",
    )
    assert verdict(case(Send(HEADER)), transcript).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "said",
    [
        (b"220 mx", b"> EHLO first", b"421 closing", HELLO, b"> EHLO second", HELLO, b"> QUIT", b"221 bye"),
        (b"220 mx", b"421 closing", b"> EHLO first", HELLO, b"> EHLO second", HELLO, b"> QUIT", b"221 bye"),
        (b"220 mx", b"> EHLO first", HELLO, b"421 closing", b"> EHLO second", HELLO, b"> QUIT", b"221 bye"),
        (b"220 mx", b"> EHLO first", HELLO, b"> EHLO second", b"421 closing", b"> MAIL", b"250 ok", b"> QUIT"),
    ],
)
def test_a_target_that_serves_on_behind_421_is_told_whenever_it_said_it(said: tuple[bytes, ...]) -> None:
    transcript = exchange(*said)
    for one in (case(Send(HEADER)), case(Send(HEADER), accept=REFUSED, source=Source.UNTRUSTED)):
        assert verdict(one, transcript).verdict is Verdict.FAIL
    assert "says 421 and goes on" in verdict(case(Send(HEADER), expected_errors=9), transcript).reason


def test_a_target_that_has_said_421_gets_the_time_to_end_the_connection() -> None:
    """It ends half a second behind its 421, and answers until then whatever comes."""

    def closing() -> Script:
        plain, armed = smtp_server(takes_line), False

        def script(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
            nonlocal armed
            yield from plain(received, half)
            if takes_line(received) and not armed:
                armed = True
                yield 0, b"421 closing\r\n"
                yield 0.5, FIN

        return script

    one = case(Send(HEADER), Await(), accept=REFUSED, source=Source.UNTRUSTED, commands=(b"NOOP\r\n",))
    transcript = seen(one, Net(), own=closing())
    assert transcript.ending is Ending.FIN
    assert b"421 closing" in transcript.received
    assert transcript.sent == HEADER, "nothing is said to one that is about to go"
    assert verdict(one, transcript).verdict is Verdict.PASS


def guarded(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
    """A server that takes mail from one user only, and forgets the session behind STARTTLS."""
    last = received.splitlines()[-1] if received else b""
    if last == HEADER.rstrip():
        return [(0, b"220 mx\r\n")]
    if last.startswith(b"EHLO"):
        return [(0, b"250 mx Hello [192.0.2.1]\r\n")]
    if last == b"AUTH PLAIN AG1lAGh1c2g=":
        return [(0, b"235 welcome\r\n")]
    if last.startswith(b"MAIL") and b"AUTH" not in received:
        return [(0, b"530 log in first\r\n")]
    return [(0, b"221 bye\r\n"), (0, FIN)] if last == b"QUIT" else [(0, b"250 ok\r\n")]


def test_mail_that_needs_a_login_gets_it_and_nobody_sees_the_password() -> None:
    mail = (b"MAIL FROM:<probe@probe.test>\r\n", b"RSET\r\n")
    one = case(Send(HEADER), commands=mail, needs=frozenset({Capability.ANONYMOUS_MAIL}))
    closed = replace(TARGET, lacks=frozenset({Capability.ANONYMOUS_MAIL}))
    wire = ScriptedWire(guarded)
    transcript = run_virtually(drive(one, replace(closed, login=Login("me", "hush")), ROAD, wire, Aids(another=Net())))
    assert verdict(one, transcript).verdict is Verdict.PASS
    assert wire.sent.count(b"AUTH PLAIN AG1lAGh1c2g=\r\n") == 1
    assert wire.sent.index(b"AUTH") < wire.sent.index(b"MAIL")
    assert b"AUTH PLAIN (me)\r\n" in transcript.sent
    assert b"AG1lAGh1c2g" not in transcript.sent
    plain = run_virtually(drive(one, closed, ROAD, ScriptedWire(guarded), Aids(another=Net())))
    assert b"AUTH" not in plain.sent
    assert verdict(one, plain).verdict is Verdict.FAIL


def test_mail_that_needs_a_login_nobody_has_is_skipped_with_that_reason() -> None:
    chapter = Chapter("c", section="2", needs=[Capability.ANONYMOUS_MAIL])
    chapter.accepts("case", HEADER, "t")
    judged = wave(chapter, replace(TARGET, lacks=frozenset({Capability.ANONYMOUS_MAIL})))["c/case"].judgement
    assert judged.verdict is Verdict.SKIP
    assert "takes mail only after a login" in judged.reason
