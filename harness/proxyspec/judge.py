"""The judge: pure functions from (case, transcript, control, target) to a verdict, so old runs can be judged again."""

from __future__ import annotations

from dataclasses import replace

from proxyspec.model import (
    ACCEPTED,
    REJECTED,
    Accept,
    Await,
    Case,
    Ending,
    Event,
    EventKind,
    Judgement,
    Level,
    Neighbour,
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
from proxyspec.printable import show_bytes
from proxyspec.replies import Reply, ReplyReader, parse_replies

__all__ = ["MIN_DEADLINE", "PROMPT", "judge", "outcome_of", "spins"]

#: Least header deadline the text recommends, in seconds (section 2).
MIN_DEADLINE = 3.0
#: A rejection within this many seconds of the last byte is prompt.
PROMPT = 1.0
#: Clocks and schedulers may be this far apart, in seconds.
TOLERANCE = 0.05
#: A server whose clock has whole seconds, as many have, ends its deadline this much early by chance, in seconds; of a
#: short deadline no more than a quarter is forgiven.
COARSE = 1.0
#: Processes that run for more of the time than this, with nothing to do, spin; those that idle run for a hundredth.
SPINNING = 0.5
#: How the lines end with which the probe introduces itself.
PROBE = b".probe.test\r\n"
#: Less time than this in which they ran or slept tells nothing, in seconds.
TOO_SHORT = 0.4


def _received(transcript: Transcript) -> tuple[Reply, ...]:
    return parse_replies((e.at, e.data) for e in transcript.events if e.kind is EventKind.RECEIVED)


def _session(transcript: Transcript) -> tuple[Reply, ...]:
    """Return the replies behind the greeting, but for one that refuses the probe's second EHLO.

    RFC 5321 has it answered like the first (section 4.1.4), yet some servers say 503, which tells nothing of headers.
    Nothing is left of what follows a 421 that is meant: it answers what was under way.
    """
    replies = _received(transcript)[1:]
    codes = [reply.code for reply in replies]
    if 421 in codes and not _goes_on(transcript):
        replies = replies[: codes.index(421) + 1]
    told = len(replies) - (bool(replies) and replies[-1].code == 221)
    if told > 1 and replies[told - 1].code == 503 and any(reply.code == 250 for reply in replies[: told - 1]):
        asked = [event.data for event in transcript.events if event.kind is EventKind.SENT]
        if [line[:5] for line in asked[-2:]] == [b"EHLO ", b"QUIT\r"]:
            return replies[: told - 1] + replies[told:]
    return replies


def _last_step(transcript: Transcript) -> float:
    """When the last byte of the case's own steps went out; 0 (the connection) if it sent none."""
    last = 0.0
    for event in transcript.events:
        if event.kind is EventKind.STEPS_DONE:
            break
        if event.kind in (EventKind.SENT, EventKind.CLIENT_FIN):
            last = event.at
    return last


def _told_a_line(transcript: Transcript, moment: float) -> bool:
    """Tell whether a whole line of version 1 was out at `moment`: what greets then did not speak first."""
    told = b"".join(e.data for e in transcript.events if e.kind is EventKind.SENT and e.at <= moment)
    return told.startswith(b"PROXY ") and b"\r\n" in told


def _closed_at(transcript: Transcript) -> float | None:
    end = transcript.first(EventKind.SERVER_FIN, EventKind.SERVER_RST)
    return end.at if end else None


def _ended_early(transcript: Transcript) -> bool:
    """Tell whether the target ended the session before the probe said QUIT."""
    closed = _closed_at(transcript)
    quit_at = next((e.at for e in transcript.events if e.kind is EventKind.SENT and e.data == b"QUIT\r\n"), None)
    return closed is not None and (quit_at is None or closed < quit_at)


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
    if transcript.first(EventKind.CLIENT_RST) is not None:
        return Outcome(OutcomeKind.LEFT)
    replies = _received(transcript)
    if not replies or not replies[0].positive:
        return _refused(transcript, replies[0] if replies else None, greeted=False)
    greeting, session = replies[0], _session(transcript)
    done = transcript.first(EventKind.STEPS_DONE)
    needs_header = case.source is Source.TRUSTED and case.via not in (Via.RELAY_V1, Via.RELAY_V2)
    early = done is None or greeting.at < _last_step(transcript)
    if needs_header and early and not _told_a_line(transcript, greeting.at):
        return Outcome(OutcomeKind.SPOKE_FIRST, greeted=True)
    if transcript.first(EventKind.CLIENT_FIN) is not None:
        return Outcome(OutcomeKind.ACCEPTED_UNSEEN)
    failed = transcript.first(EventKind.TLS_FAILED)
    if failed is not None:
        refusal = next((reply for reply in session if not reply.positive and reply.at < failed.at), None)
        return _refused(transcript, refusal, greeted=True) if refusal else Outcome(OutcomeKind.TLS_FAILED, greeted=True)
    usable = any(reply.code == 250 for reply in session)
    errors = [reply for reply in session if not reply.positive]
    if len(errors) > case.expected_errors and errors[0].code == 421 and not _goes_on(transcript):
        # Whether EHLO was answered before a 421 that nobody asked for is chance.
        return _refused(transcript, errors[0], greeted=True)
    if len(errors) > case.expected_errors and (usable or len(errors) > 1):
        return Outcome(OutcomeKind.TREATED_AS_SMTP, code=errors[0].code, greeted=True)
    if not usable:
        return _refused(transcript, errors[0] if errors else None, greeted=True)
    seen = transcript.first(EventKind.SEEN)
    view = View.of(seen.note) if seen is not None else oracle(session)
    if view is None and _ended_early(transcript):
        return _refused(transcript, errors[-1] if errors else None, greeted=True)
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
        if since_connect < target.header_timeout - min(COARSE, target.header_timeout / 4) - TOLERANCE:
            reason = (
                f"gave up after {since_connect:.2f} s; the target declares a deadline of {target.header_timeout:g} s"
            )
            return Judgement(Verdict.WARN, outcome, reason)
    return None


def _disturbed(neighbour: Neighbour, event: Event | None, oracle: Oracle, when: str) -> str | None:
    """Say how another connection's session was not as it should be, or None if it was."""
    if event is None:
        return f"the connection {when} was not made"
    replies = parse_replies([(event.at, event.data)])
    if not replies or replies[0].code != 220 or not any(reply.code == 250 for reply in replies[1:]):
        said = f"was told {event.data[:80]!r}" if event.data else "was told nothing"
        return f"a valid header on the connection {when} was not served: it {said} ({event.note})"
    view = oracle(replies[1:])
    if view is not None and view.address != neighbour.address:
        return f"the connection {when}, whose header says {neighbour.address}, was taken for {view.address}"
    return None


def _judge_surroundings(case: Case, transcript: Transcript, outcome: Outcome, oracle: Oracle) -> Judgement | None:
    """Judge what the connection did to others and to the target itself; None: nothing."""
    for neighbour, kind, when in (
        (case.beside, EventKind.BESIDE, "beside it"),
        (case.then, EventKind.AFTERWARDS, "after it"),
    ):
        reason = _disturbed(neighbour, transcript.first(kind), oracle, when) if neighbour is not None else None
        if reason is not None:
            return Judgement(Verdict.FAIL, outcome, reason)
    watched = transcript.first(EventKind.PROCESSOR)
    if watched is None:
        return None
    used, of, *since = watched.note.split(maxsplit=2)
    if float(of) < TOO_SHORT:
        reason = "this machine was too busy to tell whether the target's processes idle with nothing to do"
        return Judgement(Verdict.UNTESTABLE, outcome, reason)
    if not spins(watched.note):
        return None
    if since:
        reason = f"its processes were already {since[0]}: start the target anew and run this case by itself"
        return Judgement(Verdict.UNTESTABLE, outcome, reason)
    reason = f"its processes used {used} s of processor time in {of} s with nothing to do"
    return Judgement(Verdict.FAIL, outcome, reason)


def spins(note: str) -> bool:
    """Tell whether the target's processes were busy, from the note of a PROCESSOR event; "" tells nothing."""
    used, of = (float(word) for word in note.split()[:2]) if note else (0.0, 0.0)
    return of >= TOO_SHORT and used > of * SPINNING


def _unanswered(case: Case, transcript: Transcript) -> bool:
    """Tell whether the probe had to go on without a reply that the case's own steps waited for."""
    awaited = max((step.replies for step in case.steps if isinstance(step, Await)), default=0)
    sent = [event for event in transcript.events if event.kind is EventKind.SENT]
    probe = next((event for event in sent if event.data[:5] == b"EHLO " and event.data.endswith(PROBE)), None)
    return probe is not None and sum(reply.at <= probe.at for reply in _received(transcript)) < awaited


def _judge_session(case: Case, transcript: Transcript) -> str | None:
    """Say which rule of SMTP a session that ran has broken, or None."""
    refused = sum(not reply.positive for reply in _session(transcript))
    if refused < case.least_errors:
        return f"{case.least_errors} of its commands had to be refused, {refused} were"
    for needle in case.require:
        if needle not in transcript.received:
            return f"the target does not say {needle!r}, which it must"
    seen = transcript.first(EventKind.SEEN)
    for needle in case.trace:
        if seen is None or needle not in seen.data:
            return f"{needle!r} is not in what the session left behind: {seen.data if seen else b''!r}"
    if case.ends and transcript.ending is Ending.OPEN:
        return "the target does not end the connection behind QUIT"
    return None


def _goes_on(transcript: Transcript) -> bool:
    """Tell whether the target said 421, which announces the end of the connection, and served on.

    It may come at any time (RFC 5321, section 3.8), so a command may cross it, and whether that is answered is chance.
    A target goes on if it answers what was sent behind 421 and is still there for the command after that.
    """
    reader = ReplyReader()
    told = asked = answered = False
    for event in transcript.events:
        if event.kind is EventKind.SENT:
            if answered:
                return True
            asked = told
        elif event.kind is EventKind.RECEIVED:
            for reply in reader.feed(event.data, event.at):
                answered |= asked and reply.code not in (None, 221, 421)
                told |= reply.code == 421
    return False


def _judge_alone(case: Case, transcript: Transcript, target: Target, oracle: Oracle) -> Judgement:
    outcome = outcome_of(case, transcript, oracle)
    if outcome.kind is OutcomeKind.TARGET_DOWN:
        failed = transcript.first(EventKind.CONNECT_FAILED)
        note = failed.note if failed else "no connection"
        return Judgement(Verdict.UNTESTABLE, outcome, f"the target could not be reached: {note}")
    for needle in case.forbid:
        if needle in transcript.received:
            return Judgement(Verdict.FAIL, outcome, f"the target says {needle!r}, which it must not")
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
    if _unanswered(case, transcript):
        return Judgement(_violation(case), outcome, "a command was not answered before more was said")
    if _goes_on(transcript):
        return Judgement(_violation(case), outcome, "the target says 421 and goes on all the same (RFC 5321, 3.8)")
    broken = _judge_session(case, transcript) if outcome.kind in ACCEPTED else None
    if broken is not None:
        return Judgement(_violation(case), outcome, broken)
    surroundings = _judge_surroundings(case, transcript, outcome, oracle)
    if surroundings is not None:
        return surroundings
    timing = _judge_timing(case, transcript, outcome, target)
    if timing is not None:
        return timing
    if case.level is Level.EITHER:
        return Judgement(Verdict.INFO, outcome, f"the text allows several behaviours; this target: {outcome}")
    return Judgement(Verdict.PASS, outcome, f"{outcome}, as expected")


def _judge_crash(transcript: Transcript, own: Judgement) -> Judgement | None:
    """Judge by the death of a process of the target's, which the connection shows as a refusal; None: there is none."""
    crash = transcript.first(EventKind.CRASHED)
    if crash is None or (crash.note and own.verdict is Verdict.FAIL):
        return None
    line = show_bytes(crash.data)
    if crash.note:
        reason = f"a process of the target crashed while this case ran; {crash.note}: {line}"
        return replace(own, verdict=Verdict.UNTESTABLE, reason=reason)
    reason = f"a process of the target crashes, which no header may cause: {line}"
    return replace(own, verdict=Verdict.FAIL, reason=reason)


def _unfounded(
    case: Case, control_case: Case | None, premise: Transcript | None, premise_case: Case | None, oracle: Oracle
) -> str | None:
    """Say why nothing shows how the header of `case` is refused, or None if something does.

    It is accepted where the session is one that the control may have. A client that is served as itself, although its
    header gave another address, was refused: that is how.
    """
    if case.premise is None:
        return None
    if premise is None or premise_case is None:
        return f"its premise {case.premise} did not run"
    found = outcome_of(premise_case, premise, oracle)
    if found.kind is OutcomeKind.TARGET_DOWN:
        return f"its premise {case.premise} did not run ({found})"
    taken = {accept.kind for accept in control_case.accept} if control_case is not None else ACCEPTED
    if found.kind in ACCEPTED & (taken | {OutcomeKind.ACCEPTED_UNSEEN}):
        return f"{case.premise} was accepted ({found}), so nothing shows how it is refused"
    return None


def judge(
    case: Case,
    transcript: Transcript,
    control: Transcript | None,
    control_case: Case | None,
    target: Target,
    oracle: Oracle,
    *,
    premise: Transcript | None = None,
    premise_case: Case | None = None,
) -> Judgement:
    """Judge one transcript.

    A refusal counts only if the paired control, which differs in one field, was accepted in the same run: a target
    that hangs up on everybody passes nothing. How a header is refused is judged only if it is, or one fault would
    count many times; harm done to others counts all the same.
    """
    own = _judge_alone(case, transcript, target, oracle)
    if (crash := _judge_crash(transcript, own)) is not None:
        return crash
    unfounded = _unfounded(case, control_case, premise, premise_case, oracle)
    if unfounded is not None and own.outcome is not None and own.outcome.kind is not OutcomeKind.TARGET_DOWN:
        harm = _judge_surroundings(case, transcript, own.outcome, oracle)
        if harm is not None and harm.verdict is Verdict.FAIL:
            return harm
        return replace(own, verdict=Verdict.UNTESTABLE, reason=unfounded)
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
