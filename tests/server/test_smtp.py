"""SMTP dialogues as scripts: `C:` is sent with CRLF, `S:` is the whole answer, in order; nothing else may be said."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_server.ending import Ending
from proxyspec_server.journal import Step
from proxyspec_server.message import DeliveryFailed, Message
from proxyspec_server.profile import STRICT, Limits
from proxyspec_server.proxy import SIGNATURE, Endpoint
from proxyspec_server.smtp import SmtpSession, Standing

IPV4 = Endpoint("192.0.2.1", 1111)
IPV6 = Endpoint("2001:db8::1", 1111)


@dataclass
class Mailbox:
    messages: list[Message] = field(default_factory=list)

    def __call__(self, message: Message) -> None:
        self.messages.append(message)

    @property
    def text(self) -> bytes:
        """The one message without our Received field."""
        (message,) = self.messages
        assert sum(map(len, message.chunks)) == message.size
        return b"".join(message.chunks[1:])

    @property
    def received(self) -> str:
        (message,) = self.messages
        return message.chunks[0].decode("ascii")


def full(message: Message) -> None:
    raise DeliveryFailed("No space left on device")


def session(
    *,
    client: Endpoint = IPV4,
    standing: Standing = Standing.LISTED,
    limits: Limits | None = None,
    mailbox: Mailbox | None = None,
) -> SmtpSession:
    return SmtpSession(
        name="mx.test",
        client=client,
        identity="c1",
        standing=standing,
        profile=replace(STRICT, limits=limits or Limits()),
        deliver=mailbox if mailbox is not None else Mailbox(),
        clock=lambda: 1_700_000_000.0,
    )


def play(smtp: SmtpSession, script: str) -> None:
    """Send each run of C: lines as one segment and expect exactly the S: lines after it."""
    sent, expected = b"", b""
    for line in [*filter(str.strip, script.splitlines()), "C: "]:
        side, text = line.strip()[:2], line.strip()[3:]
        if side == "C:" and expected:
            assert smtp.feed(sent).decode() == expected.decode()
            sent, expected = b"", b""
        if side == "C:":
            sent += text.encode().decode("unicode_escape").encode("latin-1") + b"\r\n"
        else:
            expected += text.encode() + b"\r\n"


READY = """
    C: HELO me
    S: 250 mx.test Hello me [192.0.2.1]
    C: MAIL FROM:<a@example.com>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<b@example.com>
    S: 250 2.1.5 Recipient OK
    C: DATA
    S: 354 End data with <CR><LF>.<CR><LF>
"""


def test_banner() -> None:
    assert session().start() == b"220 mx.test ESMTP proxyspec\r\n"


def test_a_message_from_banner_to_quit() -> None:
    mailbox = Mailbox()
    smtp = session(mailbox=mailbox)
    play(
        smtp,
        """
        C: EHLO me.example
        S: 250-mx.test Hello me.example [192.0.2.1]
        S: 250-PIPELINING
        S: 250-SIZE 52428800
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250 ENHANCEDSTATUSCODES
        C: MAIL FROM:<a@example.com> SIZE=1000 BODY=8BITMIME
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<b@example.com>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<Postmaster>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Subject: x
        C:
        C: ..dot
        C: .
        S: 250 2.0.0 OK queued as c1.1
        C: QUIT
        S: 221 2.0.0 mx.test closing connection
        """,
    )
    assert smtp.ended is Ending.QUIT
    assert mailbox.text == b"Subject: x\r\n\r\n.dot\r\n"
    assert mailbox.messages[0].sender == "a@example.com"
    assert mailbox.messages[0].recipients == ("b@example.com", "Postmaster")
    assert [note.step for note in smtp.take_notes()] == [Step.HELO, Step.MESSAGE]


def test_pipelining_of_a_whole_session_in_one_segment() -> None:
    mailbox = Mailbox()
    play(
        session(mailbox=mailbox),
        """
        C: HELO me
        C: MAIL FROM:<>
        C: RCPT TO:<b@example.com>
        C: DATA
        C: one
        C: .
        C: mail from:<c@example.com>
        C: RSET
        C: NOOP anything
        C: QUIT
        C: NOOP
        S: 250 mx.test Hello me [192.0.2.1]
        S: 250 2.1.0 Sender OK
        S: 250 2.1.5 Recipient OK
        S: 354 End data with <CR><LF>.<CR><LF>
        S: 250 2.0.0 OK queued as c1.1
        S: 250 2.1.0 Sender OK
        S: 250 2.0.0 OK
        S: 250 2.0.0 OK
        S: 221 2.0.0 mx.test closing connection
        """,
    )
    assert mailbox.text == b"one\r\n"
    assert mailbox.messages[0].sender == ""


def test_received_field() -> None:
    mailbox = Mailbox()
    smtp = session(mailbox=mailbox)
    smtp.feed(b"EHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n.\r\n")
    assert mailbox.received == (
        "Received: from me ([192.0.2.1])\r\n\tby mx.test with ESMTP id c1.1;\r\n\tTue, 14 Nov 2023 22:13:20 +0000\r\n"
    )
    assert mailbox.text == b""


def test_ipv6_in_hello_and_received() -> None:
    mailbox = Mailbox()
    smtp = session(client=IPV6, mailbox=mailbox)
    assert smtp.feed(b"HELO me\r\n") == b"250 mx.test Hello me [2001:db8::1]\r\n"
    smtp.feed(b"MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n")
    assert "from me ([IPv6:2001:db8::1])\r\n" in mailbox.received
    assert " with SMTP id " in mailbox.received


def test_what_helo_says_is_never_echoed_raw() -> None:
    smtp = session()
    assert smtp.feed(b"HELO a\x1b[2J\x00\xff()\n250-x more\r\n") == b"250 mx.test Hello a?[2J???? [192.0.2.1]\r\n"
    assert smtp.feed(b"HELO " + b"x" * 400 + b"\r\n") == b"250 mx.test Hello " + b"x" * 255 + b" [192.0.2.1]\r\n"


@pytest.mark.parametrize(
    "script",
    [
        """
        C: MAIL FROM:<a@example.com>
        S: 503 5.5.1 Say EHLO or HELO first
        C: RCPT TO:<a@example.com>
        S: 503 5.5.1 Say MAIL first
        C: DATA
        S: 503 5.5.1 Say MAIL first
        C: HELO
        S: 501 5.5.4 Syntax: HELO hostname
        C: EHLO
        S: 501 5.5.4 Syntax: EHLO hostname
        """,
        """
        C: HELO me
        S: 250 mx.test Hello me [192.0.2.1]
        C: MAIL FROM:<a@example.com>
        S: 250 2.1.0 Sender OK
        C: MAIL FROM:<a@example.com>
        S: 503 5.5.1 A transaction is open already
        C: DATA
        S: 503 5.5.1 No valid recipients
        C: HELO again
        S: 250 mx.test Hello again [192.0.2.1]
        C: RCPT TO:<b@example.com>
        S: 503 5.5.1 Say MAIL first
        """,
        """
        C: HELO me
        S: 250 mx.test Hello me [192.0.2.1]
        C: MAIL FROM:a@example.com
        S: 501 5.5.4 Syntax: MAIL FROM:<address> [SIZE=n] [BODY=7BIT|8BITMIME] [SMTPUTF8]
        C: MAIL FROM:<nodomain>
        S: 501 5.1.7 Bad sender address
        C: MAIL FROM:<a@example.com> SIZE=5
        S: 555 5.5.4 Parameter not recognised
        C: MAIL FROM:<@relay.example:a@example.com>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<>
        S: 501 5.1.3 Bad recipient address
        C: RCPT TO:<a@b@c>
        S: 501 5.1.3 Bad recipient address
        C: RCPT TO:<b@example.com> NOTIFY=NEVER
        S: 555 5.5.4 Parameter not recognised
        C: RCPT TO:<"odd > local"@[192.0.2.9]>
        S: 250 2.1.5 Recipient OK
        C: DATA now
        S: 501 5.5.4 Syntax: DATA
        """,
        """
        C: NOOP
        S: 250 2.0.0 OK
        C: VRFY someone
        S: 252 2.1.5 Cannot verify, send some mail to find out
        C: VRFY
        S: 501 5.5.4 Syntax: VRFY address
        C: EXPN list
        S: 502 5.5.1 Command not implemented
        C: HELP me
        S: 214 2.0.0 EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT
        C: BLAH
        S: 500 5.5.1 Command not recognised
        C:
        S: 500 5.5.1 Command not recognised
        C: RSET x
        S: 501 5.5.4 Syntax: RSET
        C: QUIT now
        S: 501 5.5.4 Syntax: QUIT
        """,
    ],
    ids=["order", "transaction", "addresses", "others"],
)
def test_dialogue(script: str) -> None:
    play(session(), script)


EHLO = b"EHLO me\r\n"


@pytest.mark.parametrize(
    ("parameters", "reply"),
    [
        (b"SIZE=52428800", b"250 2.1.0 Sender OK"),
        (b"SIZE=52428801", b"552 5.3.4 The message is larger than 52428800 bytes"),
        (b"SIZE=x", b"501 5.5.4 Syntax: SIZE=n, up to 20 digits"),
        (b"SIZE=" + b"9" * 21, b"501 5.5.4 Syntax: SIZE=n, up to 20 digits"),
        (b"SIZE=1 SIZE=1", b"501 5.5.4 Syntax: each parameter once"),
        (b"BODY=7bit size=1", b"250 2.1.0 Sender OK"),
        (b"BODY=BINARYMIME", b"501 5.5.4 Syntax: BODY=7BIT or BODY=8BITMIME"),
        (b"SMTPUTF8=1", b"501 5.5.4 Syntax: SMTPUTF8 without a value"),
        (b"RET=FULL", b"555 5.5.4 Parameter not recognised"),
    ],
)
def test_parameters_of_mail(parameters: bytes, reply: bytes) -> None:
    smtp = session()
    smtp.feed(EHLO)
    assert smtp.feed(b"MAIL FROM:<a@example.com> " + parameters + b"\r\n") == reply + b"\r\n"


def test_smtputf8() -> None:
    mailbox = Mailbox()
    smtp = session(mailbox=mailbox)
    smtp.feed(EHLO)
    assert smtp.feed("MAIL FROM:<é@example.com>\r\n".encode()).startswith(b"553 5.6.7")
    assert smtp.feed("MAIL FROM:<é@example.com> SMTPUTF8\r\n".encode()).startswith(b"250")
    assert smtp.feed(b"RCPT TO:<\xff@example.com>\r\n").startswith(b"501 5.1.3")
    smtp.feed("RCPT TO:<ü@bücher.example>\r\nDATA\r\n.\r\n".encode())
    assert mailbox.messages[0].recipients == ("ü@bücher.example",)
    assert " with UTF8SMTP id " in mailbox.received


def test_line_limits() -> None:
    smtp = session()
    assert smtp.feed(b"NOOP " + b"x" * 505 + b"\r\n") == b"250 2.0.0 OK\r\n"
    assert smtp.feed(b"NOOP " + b"x" * 506 + b"\r\n") == b"500 5.5.2 Line too long\r\n"
    smtp.feed(EHLO)
    padding = 512 + 26 + 17 + 10 - len(b"MAIL FROM:<> SIZE=1\r\n")
    assert smtp.feed(b"MAIL FROM:<> SIZE=1" + b" " * padding + b"\r\n") == b"250 2.1.0 Sender OK\r\n"
    smtp.feed(b"RSET\r\n")
    assert smtp.feed(b"MAIL FROM:<> SIZE=1" + b" " * (padding + 1) + b"\r\n") == b"500 5.5.2 Line too long\r\n"


def test_an_endless_line_costs_one_reply_and_no_memory() -> None:
    smtp = session()
    for _ in range(1000):
        assert smtp.feed(b"x" * 1000) == b""
        assert len(smtp._buffer) <= 1000
    assert smtp.feed(b"x\r") == b""
    assert smtp.feed(b"\nNOOP\r\n") == b"500 5.5.2 Line too long\r\n250 2.0.0 OK\r\n"


def test_bad_commands_are_limited() -> None:
    smtp = session(limits=Limits(bad_commands=3))
    play(
        smtp,
        """
        C: A
        C: B
        C: NOOP
        C: C
        C: NOOP
        S: 500 5.5.1 Command not recognised
        S: 500 5.5.1 Command not recognised
        S: 250 2.0.0 OK
        S: 500 5.5.1 Command not recognised
        S: 421 4.7.0 mx.test too many bad commands
        """,
    )
    assert smtp.ended is Ending.BAD_COMMANDS
    assert smtp.feed(b"NOOP\r\n") == b""


def test_recipients_are_limited() -> None:
    mailbox = Mailbox()
    smtp = session(limits=Limits(recipients=2), mailbox=mailbox)
    smtp.feed(EHLO + b"MAIL FROM:<>\r\n")
    replies = smtp.feed(b"RCPT TO:<b@example.com>\r\n" * 3)
    assert replies == b"250 2.1.5 Recipient OK\r\n" * 2 + b"452 4.5.3 Too many recipients\r\n"
    assert smtp.feed(b"DATA\r\nx\r\n.\r\n").endswith(b"250 2.0.0 OK queued as c1.1\r\n")
    assert len(mailbox.messages[0].recipients) == 2


@pytest.mark.parametrize(("size", "accepted"), [(100, True), (101, False), (5000, False)])
def test_message_size_is_limited(size: int, accepted: bool) -> None:
    mailbox = Mailbox()
    smtp = session(limits=Limits(message=100), mailbox=mailbox)
    play(smtp, READY)
    text = (b"x" * 48 + b"\r\n") * 200
    message = text[: size - 2].rstrip(b"\r\n").ljust(size - 2, b"y") + b"\r\n"
    reply = smtp.feed(message + b".\r\n")
    assert reply == (
        b"250 2.0.0 OK queued as c1.1\r\n" if accepted else b"552 5.3.4 The message is larger than 100 bytes\r\n"
    )
    assert bool(mailbox.messages) is accepted
    assert smtp.feed(b"MAIL FROM:<>\r\n") == b"250 2.1.0 Sender OK\r\n"


@pytest.mark.parametrize(("length", "accepted"), [(998, True), (999, False), (5000, False)])
@pytest.mark.parametrize("segment", [1, 7, 999, 1000, 1001, 100_000])
def test_text_lines_are_limited(length: int, accepted: bool, segment: int) -> None:
    mailbox = Mailbox()
    smtp = session(mailbox=mailbox)
    play(smtp, READY)
    message = b"x" * 998 + b"\r\n" + b".." + b"x" * (length - 1) + b"\r\nend\r\n.\r\n"
    replies = b"".join(smtp.feed(message[at : at + segment]) for at in range(0, len(message), segment))
    assert replies == (
        b"250 2.0.0 OK queued as c1.1\r\n" if accepted else b"554 5.6.0 A line of the message is too long\r\n"
    )


def test_a_full_disk_is_temporary() -> None:
    smtp = SmtpSession(
        name="mx.test",
        client=IPV4,
        identity="c1",
        standing=Standing.LISTED,
        profile=STRICT,
        deliver=full,
        clock=lambda: 0.0,
    )
    play(smtp, READY + "\n C: x\n C: .\n S: 452 4.3.1 Cannot store the message now")
    assert [note.step for note in smtp.take_notes()] == [Step.HELO, Step.TROUBLE]
    assert smtp.feed(b"NOOP\r\n") == b"250 2.0.0 OK\r\n"


SMUGGLED = b"MAIL FROM:<evil@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nsmuggled\r\n"


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\n.\0\r\n", b"\r\n.\r\r\n"]
)
def test_only_crlf_dot_crlf_ends_a_message(end: bytes) -> None:
    mailbox = Mailbox()
    smtp = session(mailbox=mailbox)
    play(smtp, READY)
    assert smtp.feed(b"one" + end + SMUGGLED) == b""
    assert smtp.feed(b".\r\n") == b"250 2.0.0 OK queued as c1.1\r\n"
    assert b"smuggled" in mailbox.text


@given(st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\r\n.", b"x", b".."]), max_size=30), st.data())
def test_any_message_comes_out_as_it_went_in(parts: list[bytes], data: st.DataObject) -> None:
    text = b"".join(parts) + b"\r\n"
    lines = text.split(b"\r\n")
    wire = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines) + b".\r\nNOOP\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=5)))
    mailbox = Mailbox()
    smtp = session(mailbox=mailbox)
    play(smtp, READY)
    bounds = [0, *cuts, len(wire)]
    replies = b"".join(smtp.feed(wire[a:b]) for a, b in pairwise(bounds))
    assert replies == b"250 2.0.0 OK queued as c1.1\r\n250 2.0.0 OK\r\n"
    assert mailbox.text == text


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_random_bytes_never_raise_and_replies_are_lines(pieces: list[bytes]) -> None:
    smtp = session(limits=Limits(bad_commands=1000))
    replies = b"".join(smtp.feed(piece) for piece in [*pieces, b"\r\n"])
    assert replies.isascii()
    assert all(line[:3].isdigit() and line.isascii() for line in replies.split(b"\r\n")[:-1])


def test_a_second_header_from_a_listed_peer_changes_nothing() -> None:
    smtp = session()
    play(
        smtp,
        """
        C: PROXY TCP4 198.51.100.77 192.0.2.2 7777 25
        S: 503 5.5.1 PROXY comes first and only once
        C: proxy UNKNOWN
        S: 503 5.5.1 PROXY comes first and only once
        C: HELO me
        S: 250 mx.test Hello me [192.0.2.1]
        """,
    )


def test_a_version_2_header_in_mid_session_changes_nothing() -> None:
    smtp = session()
    header = SIGNATURE + bytes.fromhex("2111000c c6336477 c0000202 1e61 0019")
    replies = smtp.feed(header + b"NOOP\r\nHELO me\r\n")
    *refusals, hello = replies.splitlines()
    assert refusals
    assert set(refusals) == {b"500 5.5.1 Command not recognised"}
    assert hello == b"250 mx.test Hello me [192.0.2.1]"
    assert smtp.ended is None


@pytest.mark.parametrize("command", [b"PROXY TCP4 198.51.100.77 192.0.2.2 7777 25", b"proxy unknown", b"Proxy"])
def test_proxy_from_an_unlisted_peer_is_refused_for_now(command: bytes) -> None:
    smtp = session(standing=Standing.UNLISTED)
    assert smtp.feed(b"NOOP\r\n" + command + b"\r\nNOOP\r\n") == (
        b"250 2.0.0 OK\r\n421 4.7.0 PROXY not allowed from 192.0.2.1\r\n"
    )
    assert smtp.ended is Ending.REFUSED
