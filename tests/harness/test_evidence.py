"""Transcripts drawn as captures, and captures read again."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from proxyspec.captures import FIRST_BYTES, is_capture, streams_of
from proxyspec.conformance import case_record
from proxyspec.errors import HarnessError, UsageError
from proxyspec.evidence import SEGMENT_SIZE, capture_name, segments_of, write_capture
from proxyspec.layers.authoring import v1
from proxyspec.model import Event, EventKind, Judgement, Target, Transcript, Verdict, View
from proxyspec.scheduler import Judged
from proxyspec.transcripts import transcript_of
from proxyspec_scenarios import catalogue

K = EventKind
TARGET = Target(host="127.0.0.1", port=2525)
CLIENT = View("127.0.0.1", 40000)


def transcript(*events: tuple[float, EventKind, bytes], client: View | None = CLIENT) -> Transcript:
    return Transcript("v1/tcp4/ok", tuple(Event(at, kind, data) for at, kind, data in events), client, client)


SESSION = transcript(
    (0.001, K.CONNECTED, b""),
    (0.001, K.SENT, v1()[:20]),
    (0.1, K.SENT, v1()[20:]),
    (0.1, K.STEPS_DONE, b""),
    (0.2, K.RECEIVED, b"220 mx\r\n"),
    (0.2, K.SENT, b"QUIT\r\n"),
    (0.3, K.RECEIVED, b"221 bye\r\n"),
    (0.3, K.SERVER_FIN, b""),
)


def write(found: Transcript, path: Path, target: Target = TARGET) -> bool:
    record = case_record(Judged(catalogue()["v1/tcp4/ok"], found, Judgement(Verdict.PASS, None, "")), "")
    return write_capture(record, found, target, 1_795_000_000.0, path)


def test_segments_carry_every_byte_in_order_with_sound_numbers() -> None:
    segments = list(segments_of(SESSION))
    for client, sent in ((True, SESSION.sent), (False, SESSION.received)):
        own = [segment for segment in segments if segment.from_client is client]
        assert b"".join(segment.data for segment in own) == sent
        expected = own[0].seq
        for segment in own:
            assert segment.seq == expected
            expected += len(segment.data) + ("S" in segment.flags) + ("F" in segment.flags)
    assert [segment.flags for segment in segments[:3]] == ["S", "SA", "A"]
    times = [segment.at for segment in segments]
    assert times == sorted(set(times))


@pytest.mark.parametrize(
    ("ends", "flags", "by_client"),
    [(K.SERVER_RST, "RA", False), (K.CLIENT_RST, "RA", True), (K.GAVE_UP, "RA", True)],
)
def test_resets_are_drawn_on_the_side_that_made_them(ends: EventKind, flags: str, by_client: bool) -> None:
    *_, last = segments_of(transcript((0.0, K.CONNECTED, b""), (1.0, ends, b"")))
    assert (last.flags, last.from_client, last.at) == (flags, by_client, 1.0)


def test_large_pieces_are_cut_into_segments() -> None:
    data = bytes(3 * SEGMENT_SIZE + 1)
    segments = list(segments_of(transcript((0.0, K.CONNECTED, b""), (0.1, K.RECEIVED, data))))
    assert [len(segment.data) for segment in segments[3:]] == [SEGMENT_SIZE] * 3 + [1]


def test_what_never_connected_has_no_capture(tmp_path: Path) -> None:
    assert not write(transcript((0.0, K.CONNECT_FAILED, b""), client=None), tmp_path / "none.pcapng")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("client", "target"),
    [
        (CLIENT, TARGET),
        (View("::1", 40000), Target(host="::1", port=2525)),
        (View("127.0.0.7", 40000), Target(host="127.0.0.1", port=2525)),
    ],
)
def test_a_capture_is_read_again_with_the_same_first_bytes(tmp_path: Path, client: View, target: Target) -> None:
    path = tmp_path / "evidence" / "case.pcapng"
    assert write(transcript(*((e.at, e.kind, e.data) for e in SESSION.events), client=client), path, target)
    assert is_capture(path.read_bytes())
    (stream,) = streams_of(path)
    assert stream.client == (client.address, 40000)
    assert stream.server == (target.host, 2525)
    assert stream.complete
    assert stream.first == SESSION.sent
    assert b"reconstructed by proxyspec" in path.read_bytes()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "evidence").write_text("in the way")
    with pytest.raises(HarnessError, match="evidence"):
        write(SESSION, tmp_path / "evidence" / "case.pcapng")


def test_names_of_captures_say_what_they_are() -> None:
    assert capture_name("v1/port/65536") == "v1.port.65536.reconstructed.pcapng"
    assert capture_name("../x y\n") == "...x_y_.reconstructed.pcapng"


def test_a_transcript_survives_its_record() -> None:
    record = case_record(Judged(catalogue()["v1/tcp4/ok"], SESSION, Judgement(Verdict.PASS, None, "")), "")
    assert transcript_of(record) == SESSION


@pytest.mark.tools
def test_tshark_sees_the_header_and_the_label(tmp_path: Path) -> None:
    tshark = shutil.which("tshark")
    assert tshark, "tshark is not installed: install it (Debian: apt install tshark) or deselect with -m 'not tools'"
    whole = transcript((0.0, K.CONNECTED, b""), (0.0, K.SENT, v1()), (0.1, K.SERVER_FIN, b""))
    path = tmp_path / capture_name("v1/tcp4/ok")
    write(whole, path)
    asked = ["-T", "fields", "-e", "proxy.src.ipv4", "-e", "frame.comment", "-e", "_ws.expert.message"]
    ended = subprocess.run([tshark, "-n", "-r", str(path), *asked], capture_output=True, text=True, check=True)
    assert "192.0.2.1" in ended.stdout
    assert "reconstructed by proxyspec from the transcript of v1/tcp4/ok" in ended.stdout
    assert "retransmission" not in ended.stdout
    assert "unseen" not in ended.stdout


def packets(path: Path, *segments: tuple[int, int, str, int, bytes]) -> None:
    """Write (source port, destination port, flags, sequence number, data) between two addresses."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether
    from scapy.packet import Padding, Raw
    from scapy.utils import wrpcap

    frames = []
    for source, destination, flags, seq, data in segments:
        client = source != 25
        ends = {"src": "192.0.2.9", "dst": "192.0.2.25"} if client else {"src": "192.0.2.25", "dst": "192.0.2.9"}
        frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(**ends)
        frame /= TCP(sport=source, dport=destination, flags=flags, seq=seq)
        frame = frame / Raw(data) if data else frame
        short = 60 - len(frame)
        frames.append(frame / Padding(b"\0" * short) if short > 0 else frame)
    wrpcap(str(path), frames)


def test_streams_are_put_together_whatever_the_order_of_their_segments(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcap"
    packets(
        path,
        (4000, 25, "S", 0xFFFFFFFE, b""),
        (25, 4000, "SA", 500, b""),
        (4000, 25, "A", 0xFFFFFFFF, b""),
        (4000, 25, "PA", 4, b" UNKNOWN\r\n"),
        (4000, 25, "PA", 0xFFFFFFFF, b"PROX"),
        (4000, 25, "PA", 0xFFFFFFFF, b"PROXY"),
        (4001, 25, "PA", 77, b"EHLO x\r\n"),
        (25, 4002, "PA", 9, b"220 mx\r\n"),
        (4000, 25, "S", 1000, b""),
        (4000, 25, "PA", 1001, b"second"),
    )
    first, unopened, other, again = streams_of(path)
    assert (first.first, first.complete) == (b"PROXY UNKNOWN\r\n", True)
    assert first.client == ("192.0.2.9", 4000)
    assert (unopened.first, unopened.complete) == (b"EHLO x\r\n", False)
    assert other.first == b"220 mx\r\n"
    assert (again.first, again.complete) == (b"second", True)


def test_the_beginning_of_a_stream_is_bounded_and_ends_at_a_gap(tmp_path: Path) -> None:
    path = tmp_path / "trace.pcap"
    pieces = [(4000, 25, "PA", 1 + 1400 * n, bytes([65 + n % 26]) * 1400) for n in range(FIRST_BYTES // 1400 + 20)]
    packets(path, (4000, 25, "S", 0, b""), *pieces)
    (stream,) = streams_of(path)
    assert len(stream.first) <= FIRST_BYTES
    assert len(stream.first) > FIRST_BYTES - 1400
    packets(path, (4000, 25, "S", 0, b""), pieces[0], pieces[2])
    (stream,) = streams_of(path)
    assert stream.first == pieces[0][4]


@pytest.mark.parametrize("data", [b"\xd4\xc3\xb2\xa1", b"\x0a\x0d\x0d\x0a" + bytes(40), b"not a capture"])
def test_a_broken_capture_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.pcap"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"broken\.pcap cannot be read as a capture"):
        streams_of(path)
