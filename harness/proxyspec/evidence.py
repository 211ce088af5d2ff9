"""Connections drawn as capture files, reconstructed from their transcripts for people who think in packets.

Nothing here was captured: the bytes, their order and their times are the transcript's; sequence numbers,
acknowledgements and the cut into segments are made up. Every file says so in its name and in the comment of its first
packet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import proxyspec.layers  # noqa: F401 - it keeps Scapy quiet while that loads
from proxyspec.errors import HarnessError
from proxyspec.model import Event, EventKind, Target, Transcript, View
from proxyspec.records import CaseRecord, ConformanceRun
from proxyspec.rundir import RunDirectory
from proxyspec.transcripts import target_of, transcript_of

__all__ = ["Segment", "capture_name", "segments_of", "write_capture", "write_captures"]

#: Most bytes of a segment: what fits an Ethernet frame with IPv6.
SEGMENT_SIZE = 1440
#: Least time between two packets, in seconds, so that readers keep their order.
TICK = 1e-6
CLIENT_START, SERVER_START = 1_000_000, 2_000_000


@dataclass(frozen=True, slots=True)
class Segment:
    """One made-up TCP segment; `at` in seconds since the connection was asked for, `flags` as Scapy writes them."""

    at: float
    from_client: bool
    flags: str
    seq: int
    ack: int
    data: bytes = b""
    note: str = ""


class _Drawing:
    """Two sequence numbers and a clock that only goes forward."""

    def __init__(self) -> None:
        self._next = {True: CLIENT_START, False: SERVER_START}
        self._at = -TICK

    def segment(self, at: float, flags: str, *, from_client: bool, data: bytes = b"", note: str = "") -> Segment:
        self._at = max(at, self._at + TICK)
        seq = self._next[from_client]
        ack = self._next[not from_client] if "A" in flags else 0
        self._next[from_client] += len(data) + ("S" in flags) + ("F" in flags)
        return Segment(self._at, from_client, flags, seq, ack, data, note)


def segments_of(transcript: Transcript) -> Iterator[Segment]:
    """Yield the segments of one connection; none if it never came to be or was no connection at all."""
    drawing = _Drawing()
    first = transcript.first(EventKind.CONNECTED)
    if first is None:
        return
    yield drawing.segment(0.0, "S", from_client=True)
    yield drawing.segment(first.at, "SA", from_client=False)
    yield drawing.segment(first.at, "A", from_client=True)
    note = ""
    for event in transcript.events:
        match event.kind:
            case EventKind.SENT | EventKind.RECEIVED:
                yield from _data(drawing, event, note)
                note = ""
            case EventKind.CLIENT_FIN | EventKind.SERVER_FIN:
                client = event.kind is EventKind.CLIENT_FIN
                yield drawing.segment(event.at, "FA", from_client=client)
                yield drawing.segment(event.at, "A", from_client=not client)
            case EventKind.CLIENT_RST | EventKind.SERVER_RST:
                yield drawing.segment(event.at, "RA", from_client=event.kind is EventKind.CLIENT_RST, note=event.note)
            case EventKind.GAVE_UP:
                yield drawing.segment(event.at, "RA", from_client=True, note=f"proxyspec left: {event.note}")
            case EventKind.TLS_STARTED:
                note = f"from here on TLS ({event.note}); the bytes are shown as they were before encryption"
            case EventKind.STEPS_DONE:
                note = "the case's own steps are done; the probe follows"
            case _:
                continue


def _data(drawing: _Drawing, event: Event, note: str) -> Iterator[Segment]:
    client = event.kind is EventKind.SENT
    for start in range(0, len(event.data), SEGMENT_SIZE):
        piece = event.data[start : start + SEGMENT_SIZE]
        yield drawing.segment(event.at, "PA", from_client=client, data=piece, note="" if start else note)


def capture_name(case_id: str) -> str:
    """Return the file name of a case's capture; slashes become dots."""
    return re.sub(r"[^A-Za-z0-9_.-]", "_", case_id.replace("/", ".")) + ".reconstructed.pcapng"


def _server(transcript: Transcript, target: Target) -> View:
    """Return the far end: the target, in the address family of our end."""
    client = transcript.client
    if client is None or ip_address(client.address).version == ip_address(target.host).version:
        return View(target.host, target.port)
    return View("::1" if ip_address(client.address).version == 6 else "127.0.0.1", target.port)


def _packet(segment: Segment, client: View, server: View) -> Any:
    # Imported here: a third of a second that most runs need not pay.
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    ends = ((client, "02:00:00:00:00:01"), (server, "02:00:00:00:00:02"))
    (source, source_mac), (destination, destination_mac) = ends if segment.from_client else reversed(ends)
    network = (IPv6 if ":" in client.address else IP)(src=source.address, dst=destination.address)
    transport = TCP(
        sport=source.port, dport=destination.port, flags=segment.flags, seq=segment.seq, ack=segment.ack, window=65535
    )
    packet = Ether(src=source_mac, dst=destination_mac) / network / transport
    return packet / Raw(segment.data) if segment.data else packet


def write_capture(record: CaseRecord, transcript: Transcript, target: Target, started: float, path: Path) -> bool:
    """Write one connection as pcapng, times from `started` (seconds since the epoch); tell whether there was one.

    Raises:
        HarnessError: the file cannot be written.
    """
    from scapy.utils import PcapNgWriter

    client = transcript.client
    segments = list(segments_of(transcript))
    if client is None or not segments:
        return False
    client, server = View(client.address, client.port or 1), _server(transcript, target)
    label = f"reconstructed by proxyspec from the transcript of {record.id}, not captured: {record.verdict}"
    if transcript.dropped:
        label += f"; {transcript.dropped} received bytes were not kept"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with PcapNgWriter(str(path)) as writer:
            for number, segment in enumerate(segments):
                packet = _packet(segment, client, server)
                packet.time = started + segment.at
                comments = [text.encode() for text in (label if number == 0 else "", segment.note) if text]
                packet.comments = comments or None
                writer.write(packet)
    except OSError as error:
        raise HarnessError(f"{path} cannot be written: {error.strerror or error}") from error
    return True


def write_captures(run: ConformanceRun, out: RunDirectory) -> int:
    """Write every connection of a run below its `evidence/`; return how many there were.

    Raises:
        HarnessError: a file cannot be written.
    """
    target, started = target_of(run.target), run.started.timestamp()
    return sum(
        write_capture(record, transcript_of(record), target, started, out.path / "evidence" / capture_name(record.id))
        for record in run.cases
    )
