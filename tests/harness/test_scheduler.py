"""Many cases side by side: one deadline in all, controls paired, faults contained."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from proxyspec.casebook import REFUSED, Chapter, catalogue_of, proxied
from proxyspec.driver import Aids
from proxyspec.model import (
    Crowd,
    EventKind,
    HalfClose,
    Neighbour,
    Pause,
    Send,
    Source,
    Target,
    Verdict,
    Via,
    View,
    WatchCheck,
)
from proxyspec.oracle import ehlo_oracle
from proxyspec.processor import Spent
from proxyspec.scheduler import Judged, Plan, Roads, run_cases
from proxyspec.wire import Road, Wire

from .scripted_wire import ScriptedWire, smtp_server
from .virtual_time import run_virtually, spend

GOOD = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
TARGET = Target(host="127.0.0.1", port=25)
ROADS = Roads({Source.TRUSTED: Road("127.0.0.1", 25)}, {})


def takes_good(received: bytes) -> tuple[int, str] | None:
    return (len(GOOD), "192.0.2.1") if received.startswith(GOOD) else None


def waiting_server(road: Road) -> Wire:
    """Takes one header and lets everything else wait for the deadline."""
    return ScriptedWire(smtp_server(takes_good))


def plan(chapter: Chapter, **changes: object) -> Plan:
    catalogue = catalogue_of([chapter])
    base = Plan(catalogue, catalogue.cases, TARGET, ROADS, ehlo_oracle, connect=waiting_server)
    return replace(base, **changes)  # type: ignore[arg-type]


def run(plan: Plan) -> tuple[dict[str, Judged], float]:
    judged: list[Judged] = []

    async def main() -> float:
        await run_cases(plan, judged.append)
        return asyncio.get_running_loop().time()

    took = run_virtually(main())
    assert len({one.case.id for one in judged}) == len(judged), "a case was reported twice"
    return {one.case.id: one for one in judged}, took


def test_any_number_of_waiting_cases_takes_one_deadline() -> None:
    chapter = Chapter("c", section="2", control="c/good")
    chapter.accepts("good", GOOD, "t")
    for number in range(300):
        chapter.rejects(f"bad-{number}", b"bad", "t", waits=True)
    judged, took = run(plan(chapter))
    assert len(judged) == 301
    assert {one.judgement.verdict for one in judged.values()} == {Verdict.PASS}
    assert took < 1.1 * TARGET.header_timeout


class _Toil(ScriptedWire):
    """Costs this process time with every write."""

    async def send(self, data: bytes) -> None:
        spend(0.02)
        await super().send(data)


def test_a_process_that_cannot_keep_up_begins_less_and_is_not_late_itself() -> None:
    chapter = Chapter("c", section="2", control="c/good")
    for number in range(200):
        chapter.accepts("good" if number == 0 else f"good-{number}", GOOD, "t")
    judged, took = run(plan(chapter, connect=lambda road: _Toil(smtp_server(takes_good))))
    assert took > 200 * 0.06, "there is as much to do as before"
    assert {one.judgement.verdict for one in judged.values()} == {Verdict.PASS}
    assert max(one.transcript.duration for one in judged.values() if one.transcript is not None) < 1.0


def test_a_case_is_judged_beside_its_control_whichever_ends_first() -> None:
    chapter = Chapter("c", section="2", control="c/slow")
    chapter.add("slow", b"never good", "t", (*REFUSED, *proxied()))
    chapter.rejects("quick", b"bad", "t")
    judged, _ = run(plan(chapter))
    assert judged["c/quick"].judgement.verdict is Verdict.UNTESTABLE
    assert "c/slow" in judged["c/quick"].judgement.reason


def test_a_case_is_judged_behind_its_premise_whichever_ends_first() -> None:
    chapter = Chapter("c", section="2", control="c/good")
    chapter.accepts("good", GOOD, "t")
    for name, bad in (("accepted", GOOD), ("refused", b"never good")):
        chapter.rejects(name, (Pause(1.0), Send(bad)), "t")
        chapter.rejects(f"{name}-how", bad, "t", premise=f"c/{name}")
    judged, _ = run(plan(chapter))
    verdicts = {name: one.judgement.verdict for name, one in judged.items()}
    assert verdicts == {
        "c/good": Verdict.PASS,
        "c/accepted": Verdict.FAIL,
        "c/accepted-how": Verdict.UNTESTABLE,
        "c/refused": Verdict.PASS,
        "c/refused-how": Verdict.PASS,
    }
    assert "c/accepted was accepted" in judged["c/accepted-how"].judgement.reason


def test_a_premise_that_breaks_or_is_skipped_shows_nothing() -> None:
    chapter = Chapter("c", section="2", control="c/good")
    chapter.accepts("good", GOOD, "t")
    chapter.rejects("broken", (WatchCheck("x"),), "t")
    chapter.rejects("skipped", b"bad", "t", versions=frozenset({9}))
    for name in ("broken", "skipped"):
        chapter.rejects(f"{name}-how", b"bad", "t", premise=f"c/{name}")
    judged, _ = run(plan(chapter))
    assert judged["c/broken"].judgement.verdict is Verdict.ERROR
    assert judged["c/skipped"].judgement.verdict is Verdict.SKIP
    for name in ("broken", "skipped"):
        judgement = judged[f"c/{name}-how"].judgement
        assert (judgement.verdict, judgement.reason) == (Verdict.UNTESTABLE, f"its premise c/{name} did not run")


def test_a_fault_of_the_harness_is_one_error_and_spares_the_rest() -> None:
    chapter = Chapter("c", section="2", control="c/good")
    chapter.accepts("good", GOOD, "t")
    chapter.rejects("bad", b"bad", "t")

    def broken_for_good(road: Road) -> Wire:
        wire = waiting_server(road)
        assert isinstance(wire, ScriptedWire)
        plain = wire.send

        async def send(data: bytes) -> None:
            if data == GOOD:
                raise RuntimeError("boom")
            await plain(data)

        wire.send = send  # type: ignore[method-assign]
        return wire

    judged, _ = run(plan(chapter, connect=broken_for_good))
    assert judged["c/good"].judgement.verdict is Verdict.ERROR
    assert "RuntimeError: boom" in judged["c/good"].judgement.reason
    assert judged["c/bad"].judgement.verdict is Verdict.UNTESTABLE


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"versions": frozenset({2})}, "version 2"),
        ({"source": Source.UNTRUSTED}, "trust"),
        ({"via": Via.CHAIN_V1}, "HAProxy"),
    ],
)
def test_what_does_not_apply_is_skipped_with_its_reason(options: dict[str, object], word: str) -> None:
    chapter = Chapter("c", section="2")
    chapter.add("case", GOOD, "t", proxied(), **options)  # type: ignore[arg-type]
    judged, took = run(plan(chapter, target=replace(TARGET, versions=frozenset({1}))))
    assert judged["c/case"].judgement.verdict is Verdict.SKIP
    assert word in judged["c/case"].judgement.reason
    assert took == 0


@pytest.mark.parametrize(("parallel", "most"), [(3, 11), (8, 11), (1024, 21)])
def test_a_crowd_counts_among_the_connections_a_target_serves(parallel: int, most: int) -> None:
    """Fewer than the crowd at once: it stands alone. What it needs is nobody else's delay."""
    chapter = Chapter("c", section="2", control="c/good")
    chapter.accepts("good", GOOD, "t")
    for number in range(10):
        chapter.rejects(f"before-{number}", b"bad", "t")
    chapter.accepts("crowd", GOOD, "t", crowd=Crowd(10, b"PROXY"))
    for number in range(10):
        chapter.rejects(f"behind-{number}", b"bad", "t")
    standing: set[Wire] = set()
    seen = 0

    class Counted(ScriptedWire):
        async def connect(self) -> View:
            nonlocal seen
            standing.add(self)
            seen = max(seen, len(standing))
            return await super().connect()

        def close(self) -> None:
            standing.discard(self)
            super().close()

    judged, _ = run(plan(chapter, parallel=parallel, connect=lambda road: Counted(smtp_server(takes_good))))
    assert {one.judgement.verdict for one in judged.values()} == {Verdict.PASS}
    assert (seen, standing) == (most, set())


def test_a_skipped_control_is_not_waited_for() -> None:
    chapter = Chapter("c", section="2")
    chapter.accepts("good", GOOD, "t", versions=frozenset({2}))
    chapter.rejects("bad", b"bad", "t", control="c/good")
    judged, _ = run(plan(chapter, target=replace(TARGET, versions=frozenset({1}))))
    assert judged["c/bad"].judgement.verdict is Verdict.UNTESTABLE


def test_health_checks_need_a_watcher() -> None:
    chapter = Chapter("c", section="2")
    chapter.check("up", "check-smtp-v1", "t", up=True)
    judged, _ = run(plan(chapter))
    assert judged["c/up"].judgement.verdict is Verdict.SKIP

    class Down:
        up = False
        text = "L7TOUT"

    async def watcher(name: str) -> Down:
        return Down()

    judged, _ = run(plan(chapter, roads=Roads({}, {}, watcher)))
    assert judged["c/up"].judgement.verdict is Verdict.FAIL


def test_cancelling_closes_every_connection() -> None:
    chapter = Chapter("c", section="2")
    for number in range(20):
        chapter.rejects(f"bad-{number}", b"bad", "t", control=None)
    wires: list[ScriptedWire] = []

    def remembered(road: Road) -> Wire:
        wires.append(ScriptedWire(smtp_server(takes_good)))
        return wires[-1]

    async def main() -> None:
        task = asyncio.create_task(run_cases(plan(chapter, connect=remembered), lambda judged: None))
        await asyncio.sleep(5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtually(main())
    assert len(wires) == 20
    assert all(wire.closed for wire in wires)


def test_the_oracle_reads_the_peer_of_the_road() -> None:
    chapter = Chapter("c", section="2")
    chapter.accepts_real("local", GOOD, "t")
    road = Road("127.0.0.1", 25, None, "192.0.2.1")
    judged, _ = run(plan(chapter, roads=Roads({Source.TRUSTED: road}, {})))
    assert judged["c/local"].judgement.verdict is Verdict.PASS
    transcript = judged["c/local"].transcript
    assert transcript is not None
    assert transcript.peer == View("192.0.2.1")


class Spinner:
    """Servers whose processes are busy from the moment `guilty` bytes have come until `lasts` seconds later."""

    def __init__(self, guilty: bytes, lasts: float, deadline: float = 30.0) -> None:
        self._guilty = guilty
        self._lasts = lasts
        self._deadline = deadline
        self._spells: list[tuple[float, float]] = []

    def __call__(self, road: Road) -> Wire:
        wire = ScriptedWire(smtp_server(takes_good, deadline=self._deadline))
        plain = wire.half_close

        def half_close() -> None:
            if wire.sent == self._guilty:
                now = asyncio.get_running_loop().time()
                self._spells.append((now, now + self._lasts))
            plain()

        wire.half_close = half_close  # type: ignore[method-assign]
        return wire

    def processor(self) -> dict[int, Spent]:
        """One thread, which has run as long as at least one spell has lasted so far."""
        now, used, until = asyncio.get_running_loop().time(), 0.0, 0.0
        for begin, end in sorted(self._spells):
            begin, end = max(begin, until), min(end, now)
            used += max(0.0, end - begin)
            until = max(until, end)
        return {1: Spent(used, 0.0)}


def watchful(*guilty: bytes, waiting: tuple[bytes, ...] = ()) -> Chapter:
    chapter = Chapter("c", section="2", control="c/good")
    chapter.accepts("good", GOOD, "t")
    chapter.rejects("waits", b"PROXY", "t", waits=True)
    for number, data in enumerate(waiting):
        chapter.rejects(f"waits-{number}", (Send(data), HalfClose()), "t", waits=True)
    for number in range(10):
        chapter.accepts(f"innocent-{number}", GOOD, "t", then=Neighbour(GOOD, "192.0.2.1"))
    for number, data in enumerate(guilty):
        chapter.rejects(f"guilty-{number}", (Send(data), HalfClose()), "t", then=Neighbour(GOOD, "192.0.2.1"))
    return chapter


def spinning(chapter: Chapter, net: Spinner) -> tuple[dict[str, Verdict], dict[str, Judged], float, list[str]]:
    remarks: list[str] = []
    judged, took = run(plan(chapter, connect=net, aids=Aids(processor=net.processor), remark=remarks.append))
    return {name: one.judgement.verdict for name, one in judged.items()}, judged, took, remarks


def test_a_target_that_idles_costs_no_time() -> None:
    verdicts, _, took, remarks = spinning(watchful(b"half"), Spinner(b"never", 5.0))
    assert set(verdicts.values()) == {Verdict.PASS}
    assert took < 1.1 * TARGET.header_timeout
    assert remarks == []


def test_only_the_case_that_makes_a_target_spin_is_blamed() -> None:
    verdicts, judged, _, remarks = spinning(watchful(b"half"), Spinner(b"half", 5.0))
    assert {name for name, verdict in verdicts.items() if verdict is not Verdict.PASS} == {"c/guilty-0"}
    assert verdicts["c/guilty-0"] is Verdict.FAIL
    assert "of processor time" in judged["c/guilty-0"].judgement.reason
    assert "11 cases that watch them run again, one by one" in remarks[0]


@pytest.mark.parametrize("lasts", [5.0, 25.0, 40.0])
def test_what_a_waiting_case_began_is_nobody_elses_fault(lasts: float) -> None:
    verdicts, _, _, _ = spinning(watchful(waiting=(b"spin",)), Spinner(b"spin", lasts))
    assert set(verdicts.values()) == {Verdict.PASS}


def test_where_a_crowd_leaves_the_target_busy_the_next_waits_until_it_is_not() -> None:
    chapter = Chapter("c", section="2", control="c/good")
    chapter.rejects("crowd", (Send(b"spin"), HalfClose()), "t", crowd=Crowd(10, b"PROXY"), waits=True)
    chapter.accepts("good", GOOD, "t")
    net = Spinner(b"spin", 40.0)
    judged, took = run(plan(chapter, parallel=4, connect=net, aids=Aids(processor=net.processor)))
    assert {one.judgement.verdict for one in judged.values()} == {Verdict.PASS}
    assert took > 40.0
    judged, took = run(plan(chapter, connect=net, aids=Aids(processor=net.processor)))
    assert took < 32.0


def test_a_target_that_spins_for_good_is_one_finding() -> None:
    verdicts, judged, _, _ = spinning(watchful(waiting=(b"spin",)), Spinner(b"spin", 1e6))
    untold = {name for name, verdict in verdicts.items() if verdict is Verdict.UNTESTABLE}
    assert untold == {name for name in verdicts if "innocent" in name}
    assert Verdict.FAIL not in verdicts.values()
    assert all("busy before the cases that watch them ran alone" in judged[name].judgement.reason for name in untold)


def test_a_case_after_which_the_target_never_idles_is_named_to_the_others() -> None:
    net = Spinner(b"half", 25.0)
    chapter = watchful(*[b"half"] * 5)
    verdicts, judged, took, _ = spinning(chapter, net)
    assert [name for name, verdict in verdicts.items() if verdict is Verdict.FAIL] == [
        "c/guilty-0",
        "c/guilty-1",
        "c/guilty-2",
    ]
    for name in ("c/guilty-3", "c/guilty-4"):
        assert verdicts[name] is Verdict.UNTESTABLE
        assert "kept busy by c/guilty-0, c/guilty-1, c/guilty-2: start the target anew" in judged[name].judgement.reason
        transcript = judged[name].transcript
        assert transcript is not None
        assert transcript.first(EventKind.PROCESSOR) is not None
    assert took < 6 * TARGET.header_timeout, "what is bounded: three deadlines beside those of the wave"


def test_a_short_deadline_leaves_time_for_every_culprit() -> None:
    chapter = watchful(*[b"half"] * 9)
    brief = replace(TARGET, header_timeout=2.0)
    net = Spinner(b"half", 2.0, deadline=2.0)
    judged, took = run(plan(chapter, target=brief, connect=net, aids=Aids(processor=net.processor)))
    assert {name for name, one in judged.items() if one.judgement.verdict is Verdict.FAIL} == {
        f"c/guilty-{number}" for number in range(9)
    }
    assert Verdict.UNTESTABLE not in {one.judgement.verdict for one in judged.values()}
    assert took < 130.0
