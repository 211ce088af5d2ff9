"""One SMTP session without a socket: bytes in, replies and notes out (RFC 5321).

Extensions: SIZE (RFC 1870), 8BITMIME (6152), SMTPUTF8 (6531), PIPELINING (2920), ENHANCEDSTATUSCODES (2034),
STARTTLS (3207).
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from enum import Enum
from functools import lru_cache
from typing import ClassVar

from proxyspec_server.ending import Ending
from proxyspec_server.journal import Note, Step, Value
from proxyspec_server.message import Deliver, DeliveryFailed, Message, make_message
from proxyspec_server.profile import Profile
from proxyspec_server.proxy import Endpoint
from proxyspec_server.visible import visible

# A path in angle brackets; a quoted local part may hold ">" (RFC 5321, section 4.1.2). One space after the colon, which
# the grammar forbids and many clients send, is let pass.
_PATH = rb' ?<(?P<path>(?:[^<>"\\\s]++|"(?:[^"\\\r\n]|\\[^\r\n])*")*+)>(?: (?P<parameters>.*))?'
_MAIL = re.compile(rb"FROM:" + _PATH, re.IGNORECASE | re.DOTALL)
_RCPT = re.compile(rb"TO:" + _PATH, re.IGNORECASE | re.DOTALL)

# Only the outline of an address matters here: something, an at sign, a domain or an address literal.
_SOURCE_ROUTE = re.compile(r"@[^:@\s]+(?:,@[^:@\s]+)*:")
_MAILBOX = re.compile(r'(?:"[^\x00-\x1f\x7f]+"|[^\x00-\x20\x7f"@]+)@(?:\[[0-9A-Za-z:.-]+\]|[^\x00-\x20\x7f"@\[\]]+)')

# Printable, not blank, and without a meaning of its own in a path.
_PLAIN = bytes(set(range(0x21, 0x7F)) - set(b'<>"\\@[]'))
_AT = 0x40

_HELO_SAFE = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._:[]-"
_HELO_UNSAFE = re.compile(r"[^0-9A-Za-z._:\[\]-]")
_MAX_HELO = 255

_LINE_END = b"\r\n"
_LAST_REPLIES = ("421", "521")
_END_OF_DATA = b"\r\n.\r\n"
_SHORT = 200
"""Bytes a command line may have under any limits, so that they need not be looked up for most."""


class Standing(Enum):
    """Whether the peer belongs to the hosts that may send a PROXY header."""

    LISTED = "listed"
    UNLISTED = "unlisted"


class Security(Enum):
    """Whether the client's words are encrypted, and by whom."""

    CLEARTEXT = "cleartext"
    """They are not, and TLS is not on offer."""
    OFFERED = "offered"
    """They are not yet; STARTTLS is on offer."""
    ACTIVE = "active"
    """Up to this server."""
    AT_PROXY = "at-proxy"
    """Up to the proxy, says its SSL TLV, and the configuration believes it (section 2.2.6)."""


_ENCRYPTED = (Security.ACTIVE, Security.AT_PROXY)


class Refusal(Exception):
    """A command refused with the one reply line it carries."""


class _Body:
    """A message while it arrives: dots unstuffed, the end found, lengths watched, nothing joined.

    Lines end with CRLF and with nothing else, so a bare CR or LF is text and can smuggle no second message.
    """

    __slots__ = ("_carry", "_limit", "_line", "_max_line", "_virtual", "chunks", "long_line", "size")

    def __init__(self, limit: int, max_line: int) -> None:
        self._limit = limit
        self._max_line = max_line
        # Pretending that a CRLF came before makes the first line like any other; `_virtual` of it is never stored.
        self._carry = _LINE_END
        self._virtual = len(_LINE_END)
        self._line = 0
        self.chunks: list[bytes] = []
        self.size = 0
        self.long_line = False

    @property
    def too_big(self) -> bool:
        return self.size > self._limit

    def feed(self, data: bytes) -> bytes | None:
        """Take the next bytes. Returns what follows the end of the message, None while it has not come."""
        if self._virtual and self._carry is _LINE_END and self._whole(data):
            return b""
        data = self._carry + data
        start = 0
        while True:
            dot = data.find(b"\r\n.", start)
            if dot < 0:
                self._pause(data, start, len(data) - _held_back(data, start))
                return None
            following = data[dot + 3 : dot + 5]
            if following == _LINE_END:
                self._store(data[start : dot + 2])
                return data[dot + 5 :]
            if following in (b"", b"\r"):
                self._pause(data, start, dot)
                return None
            self._store(data[start : dot + 2])
            start = dot + 3

    def _whole(self, data: bytes) -> bool:
        """Take a message that has come in one piece, with no dot to unstuff; False leaves it alone."""
        end = len(data) - len(_END_OF_DATA)
        if data[:1] == b"." or data[end:] != _END_OF_DATA or data.find(b"\r\n.") != end:
            return False
        self._virtual = 0
        self._store(data[: end + 2])
        return True

    def _pause(self, data: bytes, start: int, end: int) -> None:
        self._store(data[start:end])
        self._carry = data[end:]

    def _store(self, chunk: bytes) -> None:
        if self._virtual and chunk:
            chunk = chunk[self._virtual :]
            self._virtual = 0
        if not chunk:
            return
        self.size += len(chunk)
        if self.size > self._limit:
            self.chunks.clear()
            return
        self.chunks.append(chunk)
        self._watch_lines(chunk)

    def _watch_lines(self, chunk: bytes) -> None:
        # No chunk ends inside a CRLF, as `feed` holds a CR at the end back. One search for each thousand bytes: the
        # last line end within reach of the limit is as good as the next one. `start` is where the current line begins.
        start = -self._line
        while start + self._max_line <= len(chunk):
            end = chunk.rfind(_LINE_END, max(start, 0), start + self._max_line)
            if end < 0:
                self.long_line = True
                self._line = 0
                return
            start = end + 2
        end = chunk.rfind(_LINE_END, max(start, 0))
        self._line = len(chunk) - (start if end < 0 else end + 2)


def _plain_mailbox(argument: bytes, opening: bytes) -> str | None:
    """The mailbox of an argument like FROM:<a@b.example>, if it is short, plain and alone, as most are.

    None sends the others the long way, which takes the same ones with the same result.
    """
    size = len(opening)
    if len(argument) > _SHORT or argument[:size].upper() != opening or argument[-1:] != b">":
        return None
    path = argument[size:-1]
    if path.translate(None, _PLAIN) != b"@" or path[0] == _AT or path[-1] == _AT:
        return None
    return path.decode("ascii")


def _encoded(text: str) -> bytes:
    return text.encode("ascii", "backslashreplace") + _LINE_END


_repeated = lru_cache(maxsize=256)(_encoded)
"""For the replies without variables, of which a profile has a few dozen."""


@lru_cache(maxsize=16)
def _named(text: str, name: str) -> bytes:
    """For those every session begins and ends with, where only the server's name is a variable."""
    return _encoded(text.format(name=name))


@lru_cache(maxsize=16)
def _listed(keywords: tuple[str, ...]) -> bytes:
    """The last lines of the answer to EHLO."""
    return _encoded("".join([f"250-{keyword}\r\n" for keyword in keywords[:-1]]) + f"250 {keywords[-1]}")


@lru_cache(maxsize=16)
def _keywords(size: int, security: Security) -> tuple[str, ...]:
    always = ("PIPELINING", f"SIZE {size}", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES")
    return (*always, "STARTTLS") if security is Security.OFFERED else always


@lru_cache(maxsize=1024)
def _shown_client(template: str, literal: str, address: str) -> str:
    """The client in a Received field: the same few come again and again, and formatting takes longer than finding."""
    return template.format(literal=literal, address=address)


@lru_cache(maxsize=2)
def _date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC))


def _held_back(data: bytes, start: int) -> int:
    """How many bytes at the end of `data[start:]` may be the beginning of the end of the message."""
    for length in range(min(len(_END_OF_DATA) - 1, len(data) - start), 0, -1):
        if data.endswith(_END_OF_DATA[:length]):
            return length
    return 0


class SmtpSession:
    """The session with one client, from the banner to the end.

    `feed` returns the replies; `ended` says why the connection has to be closed once they are written; `take_notes`
    gives what happened. Subclasses change one command, or one decision, at a time.
    """

    __slots__ = (
        "_bad_commands",
        "_body",
        "_buffer",
        "_clock",
        "_deliver",
        "_discarding",
        "_name",
        "_notes",
        "_noting",
        "_out",
        "_profile",
        "_standing",
        "_transactions",
        "client",
        "commands",
        "ended",
        "esmtp",
        "helo",
        "identity",
        "recipients",
        "security",
        "sender",
        "smtputf8",
        "upgrading",
    )

    verbs: ClassVar[dict[bytes, str]] = {
        b"HELO": "do_helo",
        b"EHLO": "do_ehlo",
        b"MAIL": "do_mail",
        b"RCPT": "do_rcpt",
        b"DATA": "do_data",
        b"RSET": "do_rset",
        b"NOOP": "do_noop",
        b"VRFY": "do_vrfy",
        b"HELP": "do_help",
        b"QUIT": "do_quit",
        b"PROXY": "do_proxy",
        b"EXPN": "do_not_implemented",
        b"AUTH": "do_not_implemented",
        b"STARTTLS": "do_starttls",
    }

    def __init__(
        self,
        *,
        name: str,
        client: Endpoint,
        identity: str,
        standing: Standing,
        profile: Profile,
        deliver: Deliver,
        clock: Callable[[], float],
        security: Security = Security.CLEARTEXT,
        noting: bool = True,
    ) -> None:
        """`name` is the server's, `client` the address believed, `identity` the connection's id in ids and notes.

        `clock` gives seconds since the epoch, for dates. Without `noting` no notes are taken.
        """
        self._name = name
        self._standing = standing
        self._profile = profile
        self._deliver = deliver
        self._clock = clock
        self._out: list[bytes] = []
        self._notes: list[Note] = []
        self._noting = noting
        self._buffer = b""
        self._discarding = False
        self._body: _Body | None = None
        self._bad_commands = 0
        self._transactions = 0
        self.client = client
        self.identity = identity
        self.security = security
        self.upgrading = False
        self.commands = 0
        self.ended: Ending | None = None
        self.helo: str | None = None
        self.esmtp = False
        self.smtputf8 = False
        self.sender: str | None = None
        self.recipients: list[str] = []

    # What the connection calls.

    def start(self) -> bytes:
        """The banner (RFC 5321, section 3.1)."""
        self._out.append(_named(self._profile.replies.banner, self._name))
        self.note(Step.GREETED)
        return self._take_replies()

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the client; returns the replies they earn. Bytes after the end of the session are dropped."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while data and self.ended is None and not self.upgrading:
            data = self._feed_lines(data) if self._body is None else self._feed_body(self._body, data)
        return self._take_replies()

    def take_notes(self) -> list[Note]:
        """What happened since the last call."""
        if not self._notes:
            return []
        notes, self._notes = self._notes, []
        return notes

    def secured(self) -> None:
        """The TLS handshake is done: forget what was said in clear (RFC 3207, section 4.2).

        The client's address stays, as it was never the client's to say.
        """
        self.upgrading = False
        self.security = Security.ACTIVE
        self.helo = None
        self.esmtp = False
        self.reset()

    def end(self, ending: Ending, text: str, **fields: str) -> bytes:
        """End the session from outside, with a last reply unless `text` is empty; returns what is left to write."""
        if self.ended is None:
            self.ended = ending
            if text:
                self.say(text, **fields)
        return self._take_replies()

    # Lines.

    def _feed_lines(self, data: bytes) -> bytes:
        end = data.find(_LINE_END)
        if 0 <= end <= _SHORT and end == len(data) - 2 and not self._discarding:
            # One line and no more, as from all who wait for their replies.
            self.commands += 1
            self.line(data[:end])
            return b""
        start = 0
        while True:
            end = data.find(_LINE_END, start)
            if end < 0:
                if self._discarding or start < len(data):
                    self._keep(data[start:])
                return b""
            line = data[start:end]
            start = end + 2
            self.commands += 1
            if self._discarding or (len(line) > _SHORT and len(line) + 2 > self.line_limit(line)):
                self._discarding = False
                self.bad_command(self._profile.replies.line_too_long)
            else:
                self.line(line)
            if start == len(data):
                return b""
            if self.ended is not None or self._body is not None or self.upgrading:
                return data[start:]

    def _keep(self, partial: bytes) -> None:
        """Keep an unfinished line, or only its last CR once it is too long to become a command."""
        if self._discarding or len(partial) > self.line_limit(partial):
            self._discarding = True
            partial = b"\r" if partial.endswith(b"\r") else b""
        self._buffer = partial

    def line_limit(self, line: bytes) -> int:
        """The longest this command line may be, with its CRLF."""
        limits = self._profile.limits
        return limits.mail_line if line[:5].upper() == b"MAIL " else limits.command_line

    def line(self, line: bytes) -> None:
        """Carry out one command line."""
        verb, _, argument = line.partition(b" ")
        method = self.verbs.get(verb.upper())
        if method is None:
            self.bad_command(self._profile.replies.unknown_command)
            return
        try:
            getattr(self, method)(argument)
        except Refusal as refusal:
            self.bad_command(str(refusal))

    def bad_command(self, text: str) -> None:
        """Refuse a command, and the session after too many of them, or where the refusal says that it ends."""
        self._bad_commands += 1
        self.say(text)
        if text.startswith(_LAST_REPLIES):
            self.ended = Ending.BAD_COMMANDS
            return
        if self._bad_commands >= self._profile.limits.bad_commands:
            self.ended = Ending.BAD_COMMANDS
            self.say(self._profile.replies.too_many_bad_commands, name=self._name)

    # Commands. Each gets the bytes after the verb and one space.

    def do_helo(self, argument: bytes) -> None:
        """HELO (RFC 5321, section 4.1.1.1)."""
        self.greet(argument, "HELO")
        self._out.append(_encoded("250 " + self.hello()))

    def do_ehlo(self, argument: bytes) -> None:
        """EHLO: the address the server believes, then the extensions."""
        self.greet(argument, "EHLO")
        self._out.append(_encoded("250-" + self.hello()))
        self._out.append(_listed(self.extensions()))

    def greet(self, argument: bytes, verb: str) -> None:
        """Take the client's name and forget any transaction."""
        words = argument.split(None, 1)
        if not words:
            raise self.syntax(f"{verb} hostname")
        name = words[0][:_MAX_HELO]
        unsafe = name.translate(None, _HELO_SAFE)
        self.helo = _HELO_UNSAFE.sub("?", name.decode("latin-1")) if unsafe else name.decode("ascii")
        self.esmtp = verb == "EHLO"
        self.reset()
        if self._noting:
            self.note(Step.HELO, verb=verb, name=visible(words[0]))

    def hello(self) -> str:
        """The first line of the answer to HELO and EHLO, without code."""
        return self._profile.replies.hello.format(name=self._name, helo=self.helo, address=self.client.host)

    def extensions(self) -> tuple[str, ...]:
        """The EHLO keywords."""
        return _keywords(self._profile.limits.message, self.security)

    def do_mail(self, argument: bytes) -> None:
        """MAIL: opens a transaction."""
        replies = self._profile.replies
        if self.helo is None:
            raise Refusal(replies.hello_first)
        if self.sender is not None:
            raise Refusal(replies.nested_mail)
        sender, smtputf8 = _plain_mailbox(argument, b"FROM:<"), False
        if sender is None:
            sender, smtputf8 = self.mail_argument(argument)
        self.smtputf8 = smtputf8
        self.sender = sender
        self.say(replies.sender_ok)

    def mail_argument(self, argument: bytes) -> tuple[str, bool]:
        """The sender, and whether SMTPUTF8 is asked for. Raises Refusal."""
        match = _MAIL.fullmatch(argument)
        if match is None:
            raise self.syntax("MAIL FROM:<address> [SIZE=n] [BODY=7BIT|8BITMIME] [SMTPUTF8]")
        path, parameters = match.groups()
        smtputf8 = self.mail_parameters(parameters) if parameters else False
        bad = self._profile.replies.bad_sender
        return self.address(path, smtputf8=smtputf8, bad=bad) if path else "", smtputf8

    def mail_parameters(self, text: bytes) -> bool:
        """Check the parameters of MAIL; returns whether SMTPUTF8 is among them."""
        replies = self._profile.replies
        seen: set[bytes] = set()
        for parameter in text.split():
            keyword, _, value = parameter.upper().partition(b"=")
            if not self.esmtp or keyword not in (b"SIZE", b"BODY", b"SMTPUTF8"):
                raise Refusal(replies.unknown_parameter)
            if keyword in seen:
                raise self.syntax("each parameter once")
            seen.add(keyword)
            if keyword == b"SIZE":
                self.declared_size(value)
            elif keyword == b"BODY" and value not in (b"7BIT", b"8BITMIME"):
                raise self.syntax("BODY=7BIT or BODY=8BITMIME")
            elif keyword == b"SMTPUTF8" and parameter.upper() != keyword:
                raise self.syntax("SMTPUTF8 without a value")
        return b"SMTPUTF8" in seen

    def declared_size(self, value: bytes) -> None:
        """Refuse a message that announces itself as too big (RFC 1870, section 6.1)."""
        if not value.isdigit() or len(value) > 20:
            raise self.syntax("SIZE=n, up to 20 digits")
        if int(value) > self._profile.limits.message:
            raise Refusal(self.too_big())

    def do_rcpt(self, argument: bytes) -> None:
        """RCPT: adds a recipient."""
        replies = self._profile.replies
        if self.sender is None:
            raise Refusal(replies.no_mail)
        path = b""
        recipient = _plain_mailbox(argument, b"TO:<")
        if recipient is None:
            match = _RCPT.fullmatch(argument)
            if match is None:
                raise self.syntax("RCPT TO:<address>")
            path, parameters = match.groups()
            if parameters:
                raise Refusal(replies.unknown_parameter)
        if len(self.recipients) >= self._profile.limits.recipients:
            self.say(replies.too_many_recipients)
            return
        if recipient is None:
            # The one address that needs no domain (RFC 5321, section 4.5.1).
            postmaster = path.lower() == b"postmaster"
            recipient = (
                path.decode("ascii")
                if postmaster
                else self.address(path, smtputf8=self.smtputf8, bad=replies.bad_recipient)
            )
        self.recipients.append(recipient)
        self.say(replies.recipient_ok)

    def address(self, path: bytes, *, smtputf8: bool, bad: str) -> str:
        """The mailbox of a path, its source route dropped. Raises Refusal with `bad` for anything else."""
        if len(path) + 2 > self._profile.limits.path:
            raise Refusal(bad)
        if not smtputf8 and not path.isascii():
            raise Refusal(self._profile.replies.needs_smtputf8)
        try:
            text = path.decode("utf-8")
        except UnicodeDecodeError:
            raise Refusal(bad) from None
        mailbox = _SOURCE_ROUTE.sub("", text, count=1) if text.startswith("@") else text
        if not _MAILBOX.fullmatch(mailbox):
            raise Refusal(bad)
        return mailbox

    def do_data(self, argument: bytes) -> None:
        """DATA: the message follows."""
        replies = self._profile.replies
        if argument:
            raise self.syntax("DATA")
        if self.sender is None:
            raise Refusal(replies.no_mail)
        if not self.recipients:
            raise Refusal(replies.no_recipients)
        limits = self._profile.limits
        self._body = _Body(limits.message, limits.text_line)
        self.say(replies.go_ahead)

    def do_rset(self, argument: bytes) -> None:
        """RSET: forgets the transaction."""
        if argument:
            raise self.syntax("RSET")
        self.reset()
        self.say(self._profile.replies.done)

    def do_noop(self, argument: bytes) -> None:
        """NOOP, with or without an argument."""
        self.say(self._profile.replies.done)

    def do_vrfy(self, argument: bytes) -> None:
        """VRFY: tells nothing (RFC 5321, section 7.3)."""
        if not argument.strip():
            raise self.syntax("VRFY address")
        self.say(self._profile.replies.cannot_verify)

    def do_help(self, argument: bytes) -> None:
        """HELP, with or without an argument."""
        self.say(self._profile.replies.help)

    def do_quit(self, argument: bytes) -> None:
        """QUIT: 221, and the connection ends."""
        if argument:
            raise self.syntax("QUIT")
        self._out.append(_named(self._profile.replies.bye, self._name))
        self.ended = Ending.QUIT

    def do_starttls(self, argument: bytes) -> None:
        """STARTTLS: the handshake is next, and what came along behind the command is dropped (RFC 3207, section 4).

        Nothing protected those bytes; obeyed after the handshake, they would be anyone's words in the client's name.
        """
        replies = self._profile.replies
        if self.security is Security.CLEARTEXT:
            raise Refusal(replies.not_implemented)
        if argument:
            raise self.syntax("STARTTLS")
        if self.security is not Security.OFFERED:
            raise Refusal(replies.tls_active)
        self.say(replies.start_tls)
        self.upgrading = True

    def do_not_implemented(self, argument: bytes) -> None:
        """A command that exists and is not offered."""
        raise Refusal(self._profile.replies.not_implemented)

    def do_proxy(self, argument: bytes) -> None:
        """PROXY as a command: too late from a listed peer, forbidden to any other; the address stays as it is."""
        if self._standing is Standing.LISTED:
            raise Refusal(self._profile.replies.second_header)
        self.refuse_proxy()

    def refuse_proxy(self) -> None:
        """Send an unlisted peer away for its PROXY header, for the time being."""
        self.note(Step.REFUSED, reason="PROXY from a peer that is not on the trust list")
        self.say(self._profile.replies.proxy_refused, address=self.client.host)
        self.ended = Ending.REFUSED

    # Messages.

    def _feed_body(self, body: _Body, data: bytes) -> bytes:
        rest = body.feed(data)
        if rest is None:
            return b""
        self._body = None
        self.end_of_data(body)
        self.reset()
        return rest

    def end_of_data(self, body: _Body) -> None:
        """Answer a complete message."""
        replies = self._profile.replies
        if body.too_big:
            self.say(self.too_big())
        elif body.long_line:
            self.say(replies.text_line_too_long)
        else:
            message = self.message(body)
            try:
                self._deliver(message)
            except DeliveryFailed as failure:
                self.note(Step.TROUBLE, reason=str(failure))
                self.say(replies.cannot_store)
                return
            if self._noting:
                self.note(
                    Step.MESSAGE,
                    id=message.id,
                    sender=message.sender,
                    recipients=list(message.recipients[:10]),
                    recipient_count=len(message.recipients),
                    size=message.size,
                )
            self.say(replies.accepted, id=message.id)

    def message(self, body: _Body) -> Message:
        """The message with our Received field in front."""
        self._transactions += 1
        identity = f"{self.identity}.{self._transactions}"
        received = self.received_field(identity).encode("ascii")
        return make_message(
            (
                identity,
                self.sender or "",
                tuple(self.recipients),
                (received, *body.chunks),
                len(received) + body.size,
            )
        )

    def received_field(self, identity: str) -> str:
        """The Received field with the address the server believes (RFC 5321, section 4.4)."""
        protocol = "UTF8SMTP" if self.smtputf8 else "ESMTP" if self.esmtp else "SMTP"
        if self.esmtp and self.security in _ENCRYPTED:
            # RFC 3848, and RFC 6531, section 4.3; there is no such name without EHLO.
            protocol += "S"
        return (
            f"Received: from {self.helo} ({self.received_client()})\r\n"
            f"\tby {self._name} with {protocol} id {identity};\r\n"
            f"\t{_date(int(self._clock()))}\r\n"
        )

    def received_client(self) -> str:
        """The client as the Received field shows it."""
        return _shown_client(self._profile.received_client, self.address_literal(), self.client.host)

    def address_literal(self) -> str:
        """The client's address as an address literal (RFC 5321, section 4.1.3)."""
        host = self.client.host
        return f"[IPv6:{host}]" if ":" in host else f"[{host}]"

    def reset(self) -> None:
        """Forget the transaction."""
        self.sender = None
        self.smtputf8 = False
        self.recipients = []

    # Replies and notes.

    def too_big(self) -> str:
        """The refusal of a message over the limit."""
        return self._profile.replies.too_big.format(limit=self._profile.limits.message)

    def syntax(self, usage: str) -> Refusal:
        """The refusal of a command with a wrong argument."""
        return Refusal(self._profile.replies.syntax.format(usage=usage))

    def say(self, text: str, **fields: str) -> None:
        """Queue one reply line."""
        self._out.append(_encoded(text.format(**fields)) if fields else _repeated(text))

    def note(self, step: Step, **details: Value) -> None:
        """Queue a note, if anybody wants notes."""
        if self._noting:
            self._notes.append(Note(step, details))

    def _take_replies(self) -> bytes:
        out = self._out
        if len(out) == 1:
            return out.pop()
        replies = b"".join(out)
        out.clear()
        return replies
