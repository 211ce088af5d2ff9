"""A conformance run from beginning to end: sanity first, all cases in one wave, sanity again, one record."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from proxyspec.baseline import Expectations
from proxyspec.casebook import REFUSED, proxied
from proxyspec.crashes import crash_log
from proxyspec.driver import Aids, drive
from proxyspec.errors import ExitCode
from proxyspec.interruption import run_interruptible
from proxyspec.layers.authoring import crc32c, v1, v2
from proxyspec.malform import FlipBit
from proxyspec.model import (
    Capability,
    Case,
    Catalogue,
    Ending,
    EventKind,
    Judgement,
    Level,
    Outcome,
    Requirement,
    Send,
    Source,
    Target,
    Transcript,
    Verdict,
    View,
)
from proxyspec.oracle import ORACLES
from proxyspec.processor import ProcessorMeter
from proxyspec.records import (
    BaselineRecord,
    CaseRecord,
    ConformanceRun,
    EventRecord,
    HAProxyRecord,
    OutcomeRecord,
    RuleRecord,
    TargetRecord,
)
from proxyspec.replies import Reply, parse_replies
from proxyspec.rundir import RunDirectory
from proxyspec.runhead import Begun
from proxyspec.scheduler import Judged, Plan, Roads, run_cases
from proxyspec.wire import Road, TcpWire, Wire
from proxyspec.witness import witness_of

__all__ = [
    "Listener",
    "Preflight",
    "aids_of",
    "case_record",
    "conformance",
    "direct_roads",
    "exit_code_of",
    "preflight",
    "tls_road",
]


def direct_roads(target: Target) -> dict[Source, Road]:
    """Return the straight roads to `target`, one for each kind of peer it knows."""
    roads = {Source.TRUSTED: Road(target.host, target.port, target.trusted_source)}
    if target.untrusted_source is not None:
        roads[Source.UNTRUSTED] = Road(target.host, target.port, target.untrusted_source)
    if target.lookalike_source is not None:
        roads[Source.LOOKALIKE] = Road(target.host, target.port, target.lookalike_source)
    return roads


def tls_road(target: Target) -> Road | None:
    """Return the road to the port whose connections begin with TLS, if the target declares one."""
    return None if target.tls_port is None else Road(target.host, target.tls_port, target.trusted_source)


def aids_of(target: Target) -> Aids:
    """Return what a run of `target` may use beside its cases' own connections.

    Raises:
        UsageError: the oracle lacks its file, pattern or recipient, or they or those of crashes are of no use.
    """
    pid = target.pid
    return Aids(
        witness=witness_of(target),
        processor=None if pid is None else ProcessorMeter(pid).read,
        crashes=crash_log(target),
    )


@dataclass(frozen=True, slots=True)
class Preflight:
    """Whether the target can be judged at all, which oracle works on it, and what it shows to have."""

    oracle: str
    #: Why no verdict could mean anything; None: it can be judged.
    unjudgeable: str | None
    #: Seen in its EHLO reply, or in what it does with a wrong CRC32C.
    capabilities: frozenset[Capability] = frozenset()
    #: It served a header whose CRC32C is wrong, and declares nothing of CRC32C.
    takes_wrong_crc32c: bool = False


def _sane(version: int, commands: tuple[bytes, ...]) -> Case:
    header = v1() if version == 1 else v2()
    return Case(
        id=f"preflight/v{version}",
        title=f"A valid version {version} header is accepted",
        section="2",
        level=Level.MUST,
        steps=(Send(header),),
        accept=proxied(),
        commands=commands,
    )


def _broken_seal() -> Case:
    """Return the header that tells whether a target supports CRC32C (section 2.2.3): its checksum lacks one bit."""
    sealed = v2(tlvs=[crc32c()])
    return Case(
        id="preflight/crc32c",
        title="A wrong CRC32C ends the connection",
        section="2.2.3",
        level=Level.MUST,
        steps=(Send(FlipBit(len(sealed) - 1, 0)(sealed)),),
        accept=REFUSED,
    )


def _greeted(transcript: Transcript) -> bool:
    pieces = ((event.at, event.data) for event in transcript.events if event.kind == "received")
    replies = parse_replies(pieces)
    return (
        any(reply.code is not None for reply in replies) and replies[0].code is not None and replies[0].code // 100 == 2
    )


def _plight(target: Target, transcripts: Sequence[Transcript]) -> str:
    """Say in one sentence why a target that greets nobody cannot be judged."""
    where = target.place
    if all(transcript.ending is Ending.NEVER for transcript in transcripts):
        return f"{where} cannot be reached ({transcripts[0].events[0].note}): is the server running, is the port right?"
    source = f" from {target.trusted_source}" if target.trusted_source else ""
    if all(transcript.ending is Ending.OPEN for transcript in transcripts):
        waited = min(target.header_timeout, target.patience) + target.margin
        return (
            f"{where} stays silent after a valid header{source} (watched for {waited:.0f} s): is it an SMTP server, "
            "and does it trust the address the header comes from?"
        )
    return (
        f"{where} greets nobody, not even after a valid header{source}: is it an SMTP server, and does it expect PROXY "
        "from that address?"
    )


def _replies(transcript: Transcript) -> tuple[Reply, ...]:
    return parse_replies((e.at, e.data) for e in transcript.events if e.kind is EventKind.RECEIVED)


def _offers(transcript: Transcript, keyword: bytes) -> bool:
    """Tell whether an EHLO reply names this extension (RFC 5321, section 4.1.1.1)."""
    lines = (line for reply in _replies(transcript) if reply.code == 250 for line in reply.lines[1:])
    return any(line.split()[:1] == [keyword] for line in map(bytes.upper, lines))


def _refusal(transcripts: Sequence[Transcript]) -> str | None:
    """Return the first refusal in these sessions, in the target's words."""
    refused = [reply for transcript in transcripts for reply in _replies(transcript) if not reply.positive]
    return f"{refused[0].code} {refused[0].lines[0]!r}" if refused and refused[0].lines else None


def _no_trace(target: Target, transcripts: Sequence[Transcript]) -> str | None:
    """Say in one sentence why the oracle the user named is of no use, or None if it is."""
    if any(transcript.first(EventKind.SEEN) for transcript in transcripts):
        return None
    refusal = _refusal(transcripts)
    said = f"; the target said {refusal}" if refusal is not None else ""
    where = f" in {target.oracle_file}" if target.oracle_file is not None else ""
    return f"the oracle {target.oracle!r} shows nothing of a session with a valid header{where}{said}"


async def preflight(target: Target, aids: Aids | None = None) -> Preflight:
    """Send one valid header of each version and see whether anybody answers, and what the answer shows.

    Where nothing is declared of CRC32C, a header with a wrong one goes beside them.
    """
    road = direct_roads(target)[Source.TRUSTED]
    hasty = replace(target, header_timeout=min(target.header_timeout, target.patience))
    mail = () if target.logs_in is None else (b"MAIL FROM:<probe@probe.test>\r\n", b"RSET\r\n")
    cases = [_sane(version, mail) for version in sorted(target.versions)]
    if 2 in target.versions and Capability.CRC32C not in target.capabilities | target.lacks:
        cases.append(_broken_seal())
    room = asyncio.Semaphore(target.parallel)

    async def look(case: Case) -> Transcript:
        async with room:
            return await drive(case, hasty, road, TcpWire(road), aids)

    found = await asyncio.gather(*map(look, cases))
    transcripts, unsealed = found[: len(target.versions)], found[len(target.versions) :]
    oracle = target.oracle
    if oracle == "auto":
        views = [
            ORACLES["ehlo"](parse_replies((e.at, e.data) for e in transcript.events if e.kind == "received"))
            for transcript in transcripts
        ]
        oracle = "ehlo" if any(views) else "none"
    greeted = any(_greeted(transcript) for transcript in transcripts)
    seen = frozenset({Capability.STARTTLS}) if any(_offers(one, b"STARTTLS") for one in transcripts) else frozenset()
    if not greeted:
        return Preflight(oracle, _plight(target, transcripts), seen)
    takes_wrong_crc32c = any(map(_greeted, unsealed))
    if unsealed and not takes_wrong_crc32c and _greeted(transcripts[-1]):
        seen |= {Capability.CRC32C}
    if target.logs_in is not None and (refusal := _refusal(transcripts)) is not None:
        user = target.logs_in.user
        return Preflight(oracle, f"the target refuses the login of {user!r}, or the mail behind it: {refusal}", seen)
    if oracle == "received":
        seen |= {Capability.RECEIVED}
    useless = _no_trace(target, transcripts) if aids is not None and aids.witness is not None else None
    return Preflight(oracle, useless, seen, takes_wrong_crc32c)


def _in_words(view: View | None) -> str | None:
    if view is None:
        return None
    return view.address if view.port is None else f"{view.address} {view.port}"


def _outcome_record(outcome: Outcome | None) -> OutcomeRecord | None:
    if outcome is None:
        return None
    return OutcomeRecord(
        kind=outcome.kind,
        address=outcome.view.address if outcome.view else None,
        port=outcome.view.port if outcome.view else None,
        code=outcome.code,
        greeted=outcome.greeted,
        after=None if outcome.after is None else round(outcome.after, 4),
        text=str(outcome),
    )


def case_record(judged: Judged, reproduce: str) -> CaseRecord:
    """Put one judged case into the words of the record."""
    case, transcript = judged.case, judged.transcript
    events = transcript.events if transcript else ()
    return CaseRecord(
        id=case.id,
        title=case.title,
        section=case.section,
        level=case.level,
        via=case.via,
        source=case.source,
        timing=case.timing,
        accepts=list(dict.fromkeys(str(accept) for accept in case.accept)),
        control=case.control,
        premise=case.premise,
        verdict=judged.judgement.verdict,
        outcome=_outcome_record(judged.judgement.outcome),
        reason=judged.judgement.reason,
        ending=transcript.ending if transcript else Ending.NEVER,
        duration=round(transcript.duration, 4) if transcript else 0.0,
        client=_in_words(transcript.client) if transcript else None,
        peer=_in_words(transcript.peer) if transcript else None,
        sent=transcript.sent.hex() if transcript else "",
        received=transcript.received.hex() if transcript else "",
        dropped=transcript.dropped if transcript else 0,
        events=[EventRecord(at=round(e.at, 4), kind=e.kind, hex=e.data.hex(), note=e.note) for e in events],
        reproduce=reproduce,
        requirements=list(case.requirements),
    )


def target_record(target: Target, oracle: str) -> TargetRecord:
    """Put the target profile into the words of the record."""
    return TargetRecord(
        url=target.url,
        name=target.name,
        header_timeout=target.header_timeout,
        trusted_source=target.trusted_source,
        untrusted_source=target.untrusted_source,
        versions=sorted(target.versions),
        oracle=oracle,
        capabilities=[*sorted(target.capabilities), *(f"no-{one}" for one in sorted(target.lacks))],
        tls_port=target.tls_port,
    )


def exit_code_of(verdicts: Sequence[Verdict], *, failed: bool, unjudgeable: bool, interrupted: bool) -> ExitCode:
    """Return the first exit code that applies; `failed`: something happened that nobody expected."""
    if interrupted:
        return ExitCode.INTERRUPTED
    if Verdict.ERROR in verdicts:
        return ExitCode.HARNESS
    if unjudgeable:
        return ExitCode.UNJUDGEABLE
    if all(verdict is Verdict.SKIP for verdict in verdicts):
        return ExitCode.NOTHING
    return ExitCode.FAILED if failed else ExitCode.OK


class Listener:
    """What a run tells while it goes on; the base class keeps silent."""

    def preflight(self, found: Preflight) -> None:
        """The target can be judged, or not."""

    def judged(self, record: CaseRecord) -> None:
        """One more verdict."""

    def remark(self, words: str) -> None:
        """Something makes the run longer, in a sentence."""


@dataclass(slots=True)
class _Results:
    records: list[CaseRecord]
    oracle: str = "none"
    unjudgeable: str | None = None
    capabilities: frozenset[Capability] = frozenset()


def _unjudged(case: Case, reason: str) -> Judged:
    return Judged(case, None, Judgement(Verdict.UNTESTABLE, None, reason))


async def _run(
    catalogue: Catalogue,
    cases: tuple[Case, ...],
    target: Target,
    roads: Roads,
    results: _Results,
    report: Callable[[Judged], None],
    listener: Listener,
    parallel: int,
    connect: Callable[[Road], Wire],
) -> None:
    aids = aids_of(target)
    before = await preflight(target, aids)
    results.oracle, results.unjudgeable = before.oracle, before.unjudgeable
    listener.preflight(before)
    if before.unjudgeable is None:
        results.capabilities = target.capabilities | before.capabilities
        able = replace(target, capabilities=results.capabilities)
        oracle, usual = ORACLES[before.oracle], _sane(min(target.versions), ())
        plan = Plan(catalogue, cases, able, roads, oracle, parallel, connect, aids, listener.remark, usual)
        await run_cases(plan, report)
        after = await preflight(able)
        if after.unjudgeable is not None:
            results.unjudgeable = f"the target did not survive the run: {after.unjudgeable}"


def _rule_record(rule: Requirement) -> RuleRecord:
    return RuleRecord(
        id=rule.id, section=rule.section, level=rule.level, sentence=rule.sentence, untested=rule.untested
    )


def conformance(
    catalogue: Catalogue,
    cases: tuple[Case, ...],
    target: Target,
    roads: Roads,
    out: RunDirectory,
    listener: Listener,
    *,
    haproxy: HAProxyRecord | None = None,
    command: Sequence[str] | None = None,
    parallel: int = 1024,
    connect: Callable[[Road], Wire] = TcpWire,
    expectations: Expectations | None = None,
    reproduce: Callable[[Case], str] = lambda case: f"proxyspec run TARGET --case {case.id}",
) -> ConformanceRun:
    """Judge `target` by `cases` and write the record into `out`; `expectations` decide what counts as a failure.

    An interruption (Ctrl-C, SIGTERM) ends the run early; what was judged by then is recorded, the rest is UNTESTABLE.

    Raises:
        HarnessError: the run directory cannot be written.
    """
    begun = Begun(out.id)
    results = _Results([], capabilities=target.capabilities)
    expected = expectations if expectations is not None else Expectations()

    def report(judged: Judged) -> None:
        record = case_record(judged, reproduce(judged.case))
        keep(record.model_copy(update={"disposition": expected.disposition(record)}))

    def keep(record: CaseRecord) -> None:
        results.records.append(record)
        out.event("case-judged", record)
        listener.judged(record)

    out.event("run-started", {"id": out.id, "kind": "conformance", "target": target.url, "cases": len(cases)})
    interrupted = run_interruptible(_run(catalogue, cases, target, roads, results, report, listener, parallel, connect))
    done = {record.id for record in results.records}
    reason = results.unjudgeable or "the run was interrupted before this case had its verdict"
    for case in cases:
        if case.id not in done:
            keep(case_record(_unjudged(case, reason), reproduce(case)))
    order = {case.id: place for place, case in enumerate(cases)}
    records = sorted(results.records, key=lambda record: order[record.id])
    stale = expected.stale(records)
    code = exit_code_of(
        [record.verdict for record in records],
        failed=bool(stale) or any(record.fails(strict=expected.strict) for record in records),
        unjudgeable=results.unjudgeable is not None,
        interrupted=interrupted,
    )
    run = ConformanceRun(
        **begun.head(interrupted=interrupted, command=command, haproxy=haproxy),
        target=target_record(replace(target, capabilities=results.capabilities), results.oracle),
        exit_code=code,
        unjudgeable=results.unjudgeable,
        cases=records,
        baseline=None if expected.baseline is None else BaselineRecord(path=expected.baseline.path, stale=list(stale)),
        strict=expected.strict,
        rules=[_rule_record(rule) for rule in catalogue.requirements],
    )
    out.record(run)
    out.event("run-finished", {"exit_code": int(code), "status": run.status, "duration": run.duration})
    return run
