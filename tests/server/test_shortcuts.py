"""The short ways through the parser and the session lead where the long ways lead."""

import io
import json
import struct
from time import time

from hypothesis import given
from hypothesis import strategies as st

from proxyspec_server.journal import MAX_LINE, Journal, Step
from proxyspec_server.profile import STRICT
from proxyspec_server.proxy import SIGNATURE, Endpoint, Header, HeaderFault, TlvType, V2Reader
from proxyspec_server.proxy.v2 import V2QuickReader
from proxyspec_server.sink import discard
from proxyspec_server.smtp import SmtpSession, Standing

tlvs = st.lists(
    st.tuples(st.sampled_from([0x01, 0x02, 0x03, 0x04, 0x05, 0x20, 0xE4]), st.binary(max_size=140)), max_size=4
).map(lambda each: b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in each))
bodies = st.tuples(st.binary(min_size=12, max_size=12), tlvs | st.binary(max_size=30)).map(b"".join)


def outcome(reader: V2Reader, data: bytes, limit: int) -> object:
    try:
        return reader.read(data, limit)
    except HeaderFault as fault:
        return fault.rule, fault.reason


@given(
    st.sampled_from([0x21, 0x21, 0x21, 0x20, 0x22, 0x11]),
    st.sampled_from([0x11, 0x11, 0x11, 0x21, 0x00]),
    bodies,
    st.integers(-3, 3),
    st.sampled_from([27, 28, 29, 60, 4112]),
    st.booleans(),
)
def test_both_readers_of_version_2_agree(
    command: int, family: int, body: bytes, off: int, limit: int, as_bytearray: bool
) -> None:
    data = SIGNATURE + struct.pack("!BBH", command, family, max(0, len(body) + off)) + body
    given_as = bytearray(data) if as_bytearray else data
    assert outcome(V2QuickReader(), given_as, limit) == outcome(V2Reader(), data, limit)  # type: ignore[arg-type]


@given(tlvs)
def test_a_value_looked_up_is_the_first_of_its_type(area: bytes) -> None:
    data = SIGNATURE + b"\x21\x11" + struct.pack("!H", 12 + len(area)) + bytes(12) + area
    header = outcome(V2QuickReader(), data, 4112)
    if isinstance(header, Header):
        for kind in TlvType:
            assert header.tlv(kind) == next((tlv.value for tlv in header.tlvs if tlv.kind == kind), None)


def session() -> SmtpSession:
    made = SmtpSession(
        name="mx.test",
        client=Endpoint("192.0.2.1", 1),
        identity="x",
        standing=Standing.UNLISTED,
        profile=STRICT,
        deliver=discard,
        clock=time,
    )
    made.feed(b"EHLO x\r\n")
    return made


addresses = st.text('ab.@@[]<>"\\: é\t-_', max_size=12) | st.sampled_from(
    ["a@b.example", "@a:b@c", "postmaster", '"a@b"@c', "a@[192.0.2.1]", "a" * 250 + "@b", "a@", "@b", "a@b@c", ""]
)


@given(addresses)
def test_a_plain_mailbox_is_taken_as_any_other(text: str) -> None:
    # A space after the colon is let pass and sends the argument the long way.
    address = text.encode()
    for setup, opening in ((b"", b"MAIL FROM:"), (b"MAIL FROM:<>\r\n", b"RCPT TO:")):
        short, long = session(), session()
        for each, gap in ((short, b""), (long, b" ")):
            each.feed(setup)
            each.feed(opening + gap + b"<" + address + b">\r\n")
        assert (short.sender, short.recipients) == (long.sender, long.recipients)


@given(st.text("ab.\r\n", max_size=40).map(str.encode))
def test_a_message_in_one_piece_is_the_message_byte_by_byte(text: bytes) -> None:
    data = text + b"\r\n.\r\n"
    kept: list[list[bytes]] = []
    replies: list[bytes] = []
    for pieces in ([data], [data[at : at + 1] for at in range(len(data))]):
        chunks: list[bytes] = []
        each = session()
        each._deliver = lambda message, chunks=chunks: chunks.extend(message.chunks[1:])  # type: ignore[misc]
        each.feed(b"MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
        replies.append(b"".join(each.feed(piece) for piece in pieces)[:9])
        kept.append([b"".join(chunks)])
    assert kept[0] == kept[1]
    assert replies[0] == replies[1]


def test_lines_of_the_log_fit_into_a_pipe() -> None:
    stream = io.BytesIO()
    journal = Journal(stream)
    journal.record(Step.MESSAGE, recipients=["\xff" * 300] * 10, sender="x" * 300)
    journal.record(Step.HEADER, tlvs=["0xe4"] * 1400, source="192.0.2.1:1", ssl={"cn": "x" * 5000})
    lines = stream.getvalue().splitlines(keepends=True)
    assert len(lines) == 2
    assert all(len(line) <= MAX_LINE for line in lines)
    message, header = map(json.loads, lines)
    assert len(message["recipients"]) == 10
    assert message["sender"] == "x" * 40 + "..."
    assert header["source"] == "192.0.2.1:1"
    assert header["tlvs"] == ["0xe4"] * 20
