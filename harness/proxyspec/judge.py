"""The judge: pure functions from (case, transcript, control, target) to a verdict, so old runs can be judged again."""

from __future__ import annotations

from dataclasses import replace

from proxyspec.model import (
    ACCEPTED,
    REJECTED,
    Accept,
    Case,
    Ending,
    EventKind,
    Judgement,
    Level,
    Outcome,
    OutcomeKind,
    Source,
    Target,
    Timing,
    Transcript,
    Verdict,
    Via,
    View,
    Who,
)
from proxyspec.oracle import Oracle
from proxyspec.replies import Reply, parse_replies

__all__ = ["MIN_DEADLINE", "PROMPT", "judge", "outcome_of"]

#: Least header deadline the text recommends, in seconds (section 2).
MIN_DEADLINE = 3.0
#: A rejection within this many seconds of the last byte is prompt.
PROMPT = 1.0
#: Clocks and schedulers may be this far apart, in seconds.
TOLERANCE = 0.05


def _received(transcript: Transcript) -> tuple[Reply, ...]:
    return parse_replies((e.at, e.data) for e in transcript.events if e.kind is EventKind.RECEIVED)


def _last_step(transcript: Transcript) -> float:
    """When the last byte of the case's own steps went out; 0 (the connection) if it sent none."""
    last = 0.0
    for event in transcript.events:
        if event.kind is EventKind.STEPS_DONE:
            break
        if event.kind in (EventKind.SENT, EventKind.CLIENT_FIN):
            last = event.at
    return last


def _closed_at(transcript: Transcript) -> float | None:
    end = transcript.first(EventKind.SERVER_FIN, EventKind.SERVER_RST)
    return end.at if end else None


def _refused(transcript: Transcript, reply: Reply | None, *, greeted: bool) -> Outcome:
    """Return the outcome of a connection on which no session ran: refused, or hung if its end never came."""
    closed = _closed_at(transcript)
    moment = reply.at if reply is not None else closed
    after = None if moment is None else max(0.0, moment - _last_step(transcript))
    code = reply.code if reply is not None else None
    if closed is None:
        return Outcome(OutcomeKind.HUNG, code=code, after=after, greeted=greeted)
    if reply is None:
        return Outcome(OutcomeKind.REJECTED_SILENT, after=after, greeted=greeted)
    return Outcome(OutcomeKind.REJECTED_REPLY, code=code, after=after, greeted=greeted)


def outcome_of(case: Case, transcript: Transcript, oracle: Oracle) -> Outcome:
    """Say what happened on the connection, whatever the text thinks of it."""
    observed = transcript.first(EventKind.OBSERVED)
    if observed is not None:
        up = observed.note.startswith("up")
        return Outcome(OutcomeKind.CHECK_UP if up else OutcomeKind.CHECK_DOWN)
    if transcript.ending is Ending.NEVER:
        return Outcome(OutcomeKind.TARGET_DOWN)
    replies = _received(transcript)
    if not replies or not replies[0].positive:
        return _refused(transcript, replies[0] if replies else None, greeted=False)
    greeting, session = replies[0], replies[1:]
    done = transcript.first(EventKind.STEPS_DONE)
    needs_header = case.source is Source.TRUSTED and case.via not in (Via.RELAY_V1, Via.RELAY_V2)
    if needs_header and (done is None or greeting.at < _last_step(transcript)):
        return Outcome(OutcomeKind.SPOKE_FIRST, greeted=True)
    if transcript.first(EventKind.CLIENT_FIN) is not None:
        return Outcome(OutcomeKind.ACCEPTED_UNSEEN)
    usable = any(reply.code == 250 for reply in session)
    errors = [reply for reply in session if not reply.positive]
    if len(errors) > case.expected_errors and (usable or len(errors) > 1):
        return Outcome(OutcomeKind.TREATED_AS_SMTP, code=errors[0].code, greeted=True)
    if not usable:
        return _refused(transcript, errors[0] if errors else None, greeted=True)
    view = oracle(session)
    if view is None:
        return Outcome(OutcomeKind.ACCEPTED_UNSEEN)
    if transcript.peer is not None and view.address == transcript.peer.address:
        return Outcome(OutcomeKind.ACCEPTED_REAL, view=view)
    return Outcome(OutcomeKind.ACCEPTED_PROXIED, view=view)


def _address(accept: Accept, transcript: Transcript) -> str | None:
    who: View | None
    match accept.address:
        case Who.PEER:
            who = transcript.peer
        case Who.CLIENT:
            who = transcript.client
        case literal:
            return literal
    return who.address if who else None


def _fits(accept: Accept, outcome: Outcome, transcript: Transcript) -> bool:
    if accept.kind is not outcome.kind:
        return False
    if accept.address is not None and (outcome.view is None or outcome.view.address != _address(accept, transcript)):
        return False
    return accept.code_class is None or (outcome.code is not None and outcome.code // 100 == accept.code_class)


def _violation(case: Case) -> Verdict:
    """Return what breaking a rule of this level is worth."""
    if case.level is Level.SHOULD:
        return Verdict.WARN
    return Verdict.INFO if case.level is Level.MAY else Verdict.FAIL


def _wanted(case: Case) -> str:
    return " or ".join(dict.fromkeys(str(accept) for accept in case.accept))


def _judge_timing(case: Case, transcript: Transcript, outcome: Outcome, target: Target) -> Judgement | None:
    if outcome.kind not in REJECTED or outcome.after is None:
        return None
    if case.timing is Timing.PROMPT and outcome.after > PROMPT:
        return Judgement(
            Verdict.WARN,
            outcome,
            f"refused {outcome.after:.1f} s after the last byte; the text asks for an early abort",
        )
    if case.timing is Timing.AT_DEADLINE:
        since_connect = outcome.after + _last_step(transcript)
        least = min(MIN_DEADLINE, target.header_timeout)
        if since_connect < least - TOLERANCE:
            reason = f"gave up after {since_connect:.2f} s; the text recommends to wait at least {least:g} s"
            return Judgement(_violation(case), outcome, reason)
        if since_connect < target.header_timeout - TOLERANCE:
            reason = (
                f"gave up after {since_connect:.2f} s; the target declares a deadline of {target.header_timeout:g} s"
            )
            return Judgement(Verdict.WARN, outcome, reason)
    return None


def _judge_alone(case: Case, transcript: Transcript, target: Target, oracle: Oracle) -> Judgement:
    outcome = outcome_of(case, transcript, oracle)
    if outcome.kind is OutcomeKind.TARGET_DOWN:
        failed = transcript.first(EventKind.CONNECT_FAILED)
        note = failed.note if failed else "no connection"
        return Judgement(Verdict.UNTESTABLE, outcome, f"the target could not be reached: {note}")
    for needle in case.forbid:
        if needle in transcript.received:
            return Judgement(Verdict.FAIL, outcome, f"the target repeats {needle!r}, which it must not")
    if not any(_fits(accept, outcome, transcript) for accept in case.accept):
        if outcome.kind is OutcomeKind.ACCEPTED_UNSEEN and any(accept.kind in ACCEPTED for accept in case.accept):
            return Judgement(
                Verdict.UNTESTABLE, outcome, "a session ran, but no oracle tells which address the target believes in"
            )
        return Judgement(_violation(case), outcome, f"expected {_wanted(case)}; got {outcome}")
    only_refusals = all(accept.kind in REJECTED for accept in case.accept)
    if only_refusals and case.source is Source.TRUSTED and outcome.greeted:
        return Judgement(
            _violation(case), outcome, "refused only after a 220 greeting; nothing may be served before that"
        )
    timing = _judge_timing(case, transcript, outcome, target)
    if timing is not None:
        return timing
    if case.level is Level.EITHER:
        return Judgement(Verdict.INFO, outcome, f"the text allows several behaviours; this target: {outcome}")
    return Judgement(Verdict.PASS, outcome, f"{outcome}, as expected")


def judge(
    case: Case,
    transcript: Transcript,
    control: Transcript | None,
    control_case: Case | None,
    target: Target,
    oracle: Oracle,
) -> Judgement:
    """Judge one transcript.

    A refusal counts only if the paired control, which differs in one field, was accepted in the same run: a target
    that hangs up on everybody passes nothing.
    """
    own = _judge_alone(case, transcript, target, oracle)
    if case.control is None or own.verdict not in (Verdict.PASS, Verdict.INFO, Verdict.WARN):
        return own
    if own.outcome is not None and own.outcome.kind in ACCEPTED:
        return own
    if control is None or control_case is None:
        return replace(own, verdict=Verdict.UNTESTABLE, reason=f"its control {case.control} did not run")
    beside = outcome_of(control_case, control, oracle)
    if beside.kind not in ACCEPTED:
        reason = f"its control {case.control} was not accepted either ({beside}), so the refusal proves nothing"
        return replace(own, verdict=Verdict.UNTESTABLE, reason=reason)
    return own
