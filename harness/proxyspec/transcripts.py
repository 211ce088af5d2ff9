"""Transcripts and targets read back from a run's record, so that what happened once can be judged and drawn again."""

from __future__ import annotations

from proxyspec.model import Event, Target, Transcript, View
from proxyspec.records import CaseRecord, InvalidRun, TargetRecord
from proxyspec.targets import capabilities_of, parse_url

__all__ = ["target_of", "transcript_of"]


def _view(text: str | None, case_id: str) -> View | None:
    if text is None:
        return None
    address, _, port = text.partition(" ")
    try:
        return View.of(address, int(port) if port else None)
    except ValueError as error:
        raise InvalidRun(
            f"case {case_id[:200]!r}: {text[:80]!r} is no address; was the record edited by hand? Run the case again."
        ) from error


def transcript_of(record: CaseRecord) -> Transcript:
    """Return what the record holds of one connection; its times have four decimals.

    Raises:
        InvalidRun: bytes are not hexadecimal, or an address is none.
    """
    try:
        events = tuple(Event(event.at, event.kind, bytes.fromhex(event.hex), event.note) for event in record.events)
    except ValueError as error:
        raise InvalidRun(
            f"case {record.id[:200]!r}: an event's bytes are not hexadecimal; was the record edited by hand? Run the "
            "case again."
        ) from error
    return Transcript(record.id, events, _view(record.client, record.id), _view(record.peer, record.id), record.dropped)


def target_of(record: TargetRecord) -> Target:
    """Return the target as the run knew it; nothing is resolved and nobody is asked.

    Raises:
        UsageError: its URL is none, or a capability is unknown.
    """
    host, port = parse_url(record.url)
    has, lacks = capabilities_of(record.capabilities)
    return Target(
        host=host,
        port=port,
        header_timeout=record.header_timeout,
        trusted_source=record.trusted_source,
        untrusted_source=record.untrusted_source,
        versions=frozenset(record.versions),
        oracle=record.oracle,
        capabilities=has,
        lacks=lacks,
        tls_port=record.tls_port,
    )
