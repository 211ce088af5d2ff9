"""The scripts of a load: sessions that deliver mail, and connections that end or stay in every way but that."""

from __future__ import annotations

import base64
import enum
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from proxyspec.load.dialogue import Drip, Exchange, Hold, Leave, Move, Notice, Say, Script, Secure, Step
from proxyspec.load.options import AuthMechanism, Login, SessionOptions, Tls

__all__ = [
    "PATTERNS",
    "Cut",
    "Pattern",
    "ask",
    "delivery",
    "drip",
    "drip_endlessly",
    "hold",
    "linger",
    "message",
    "refusal",
    "terminated",
]

_EHLO: Final = b"EHLO client.example\r\n"

_HEADER_SECTION: Final = (
    b"Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nFrom: <load@client.example>\r\n"
    b"To: <sink@server.example>\r\nSubject: load\r\n\r\n"
)

_LINE: Final = b"x" * 76 + b"\r\n"

_READY: Final = frozenset({220})
_OK: Final = frozenset({250})


@lru_cache(maxsize=8)
def message(size: int) -> bytes:
    """Return a message of exactly `size` bytes (`MIN_MESSAGE_SIZE` at least), then the final dot.

    No line is longer than 78 octets with its end, none begins with a dot.
    """
    lines, rest = divmod(size - len(_HEADER_SECTION), len(_LINE))
    last = _LINE[-rest:] if rest else b""
    if rest == 1:
        # No line is one byte long: the last full one gives a byte up to an empty line.
        lines, last = lines - 1, _LINE[1:] + b"\r\n"
    return b"%b%b%b.\r\n" % (_HEADER_SECTION, _LINE * lines, last)


def terminated(content: bytes) -> bytes:
    """Return a message as DATA sends it: lines ended by CRLF, leading dots doubled, the final dot (RFC 5321, 4.5.2)."""
    lines = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if not lines[-1]:
        lines.pop()
    return b"".join(b"%b%b\r\n" % (b"." if line.startswith(b".") else b"", line) for line in lines) + b".\r\n"


@lru_cache(maxsize=32)
def delivery(options: SessionOptions) -> Script:
    """Return a session that sends as many messages as the options say, one after the other."""
    moves: list[Move] = []
    banner = Exchange(Step.HEADER_TO_BANNER, b"", _READY)
    keyword = "PIPELINING" if options.pipelining else None
    if options.tls is Tls.IMPLICIT:
        moves += [Secure(Step.TLS), banner, Exchange(Step.EHLO, _EHLO, _OK, keyword)]
    elif options.tls is Tls.STARTTLS:
        moves += [
            banner,
            Exchange(Step.EHLO, _EHLO, _OK, "STARTTLS"),
            Secure(Step.STARTTLS, b"STARTTLS\r\n"),
            Exchange(Step.EHLO, _EHLO, _OK, keyword),
        ]
    else:
        moves += [banner, Exchange(Step.EHLO, _EHLO, _OK, keyword)]
    if options.login is not None:
        moves += _login(options.login)
    content = message(options.message_size) if options.message is None else terminated(options.message)
    for number in range(options.messages):
        transaction = [
            Exchange(Step.MAIL, _line(f"MAIL FROM:<{options.sender}>"), _OK),
            Exchange(Step.RCPT, _line(f"RCPT TO:<{options.recipient}>"), frozenset({250, 251})),
            Exchange(Step.DATA, b"DATA\r\n", frozenset({354})),
        ]
        ending = [Exchange(Step.END_OF_DATA, content, _OK)]
        if number + 1 == options.messages:
            ending.append(Exchange(Step.QUIT, b"QUIT\r\n", frozenset({221})))
        moves += _grouped(transaction) + _grouped(ending) if options.pipelining else transaction + ending
    return Script(tuple(moves))


def _line(text: str) -> bytes:
    return text.encode("ascii") + b"\r\n"


def _grouped(exchanges: list[Exchange]) -> list[Exchange]:
    """The same, all sent at once: each reply is timed from the sending of the whole group (RFC 2920)."""
    first, *others = exchanges
    together = b"".join(exchange.send for exchange in exchanges)
    return [Exchange(first.step, together, first.codes), *(Exchange(each.step, b"", each.codes) for each in others)]


def _login(login: Login) -> list[Exchange]:
    """AUTH as RFC 4954 has it, PLAIN with its initial response (RFC 4616)."""

    def encoded(text: str) -> bytes:
        return base64.b64encode(text.encode())

    done = frozenset({235})
    if login.mechanism is AuthMechanism.PLAIN:
        response = encoded(f"\0{login.user}\0{login.password}")
        return [Exchange(Step.AUTH, b"AUTH PLAIN %b\r\n" % response, done)]
    go_on = frozenset({334})
    return [
        Exchange(Step.AUTH, b"AUTH LOGIN\r\n", go_on),
        Exchange(Step.AUTH, encoded(login.user) + b"\r\n", go_on),
        Exchange(Step.AUTH, encoded(login.password) + b"\r\n", done),
    ]


class Cut(enum.StrEnum):
    """How much of its header a connection sends."""

    NOTHING = "nothing"
    #: The first half.
    HALF = "half"
    #: All but the last byte.
    ALMOST = "almost"
    WHOLE = "whole"

    def of(self, header: bytes) -> bytes:
        """Return what is sent of `header`."""
        match self:
            case Cut.NOTHING:
                return b""
            case Cut.HALF:
                return header[: len(header) // 2]
            case Cut.ALMOST:
                return header[:-1]
            case Cut.WHOLE:
                return header


@lru_cache(maxsize=8)
def hold(codes: frozenset[int] = frozenset({421})) -> Script:
    """Return a connection that waits in silence, behind what it begins with, until the server ends it."""
    return Script((Say(), Hold(codes)))


@lru_cache(maxsize=8)
def drip(size: int, gap: float) -> Script:
    """Return a session that sends its header `size` bytes every `gap` seconds, then greets and quits."""
    return Script(
        (
            Drip(b"", size, gap),
            Exchange(Step.HEADER_TO_BANNER, b"", _READY),
            Exchange(Step.QUIT, b"QUIT\r\n", frozenset({221})),
        )
    )


@lru_cache(maxsize=8)
def drip_endlessly(size: int, gap: float) -> Script:
    """Return a connection that sends its header as `drip` does, until the server ends it with a 421."""
    return Script((Drip(b"", size, gap), Hold()))


@lru_cache(maxsize=8)
def linger(seconds: float) -> Script:
    """Return a connection that is greeted, takes about so many seconds to say QUIT, and says nothing else."""
    word = b"QUIT\r\n"
    return Script(
        (
            Exchange(Step.HEADER_TO_BANNER, b"", _READY),
            Drip(word, 1, seconds / (len(word) - 1)),
            Exchange(Step.QUIT, b"", frozenset({221})),
        )
    )


#: Every code that is no success and no question (RFC 5321, section 4.2.1).
_NEGATIVE: Final = frozenset(range(400, 600))


@lru_cache(maxsize=1)
def refusal() -> Script:
    """Return a connection whose header is wrong: the server ends it, without a word or with a 4xx or 5xx."""
    return Script((Say(), Hold(_NEGATIVE, Step.REFUSAL, refused=True)))


@lru_cache(maxsize=512)
def ask(address: str) -> Script:
    """Return a short session whose reply to EHLO has to tell this address."""
    return Script(
        (
            Exchange(Step.HEADER_TO_BANNER, b"", _READY),
            Exchange(Step.EHLO, _EHLO, _OK, telling=address.encode("ascii")),
            Exchange(Step.QUIT, b"QUIT\r\n", frozenset({221})),
        )
    )


@dataclass(frozen=True, slots=True)
class Pattern:
    """One way to end a connection early, as health checks and broken clients do.

    `endings` is what the reference server may count it as: one name, or several where chance decides because the
    client leaves before the reply.
    """

    name: str
    title: str
    cut: Cut
    script: Script
    endings: frozenset[str]


_GREETED: Final = Exchange(Step.HEADER_TO_BANNER, b"", _READY)
_RST: Final = Leave(abrupt=True)
_FIN: Final = Leave(abrupt=False)
_BY_CHANCE: Final = frozenset({"fin-mid-session", "rst-mid-session", "rst-while-writing"})


def _early(name: str, title: str, cut: Cut, moves: tuple[Move, ...], *endings: str) -> Pattern:
    return Pattern(name, title, cut, Script(moves), frozenset(endings))


PATTERNS: Final = (
    _early(
        "connect-rst",
        "a reset right away: a plain check",
        Cut.NOTHING,
        (Say(), _RST),
        "rst-before-header",
    ),
    _early("connect-fin", "a FIN right away", Cut.NOTHING, (Say(), _FIN), "fin-before-header"),
    _early("half-header-rst", "a reset within the header", Cut.HALF, (Say(), _RST), "rst-within-header"),
    _early(
        "header-rst",
        "the header, then a reset: a check with send-proxy",
        Cut.WHOLE,
        (Say(), _RST),
        "rst-after-header",
        "rst-mid-session",
        "rst-while-writing",
    ),
    _early(
        "banner-rst",
        "the header, the greeting, then a reset: tcp-check expecting 220",
        Cut.WHOLE,
        (_GREETED, _RST),
        "rst-after-header",
    ),
    _early(
        "helo-fin",
        "header and HELO, then a FIN: the server still writes its reply (smtpchk before 2.6.6)",
        Cut.WHOLE,
        (_GREETED, Say(b"EHLO check.example\r\n"), _FIN),
        *_BY_CHANCE,
    ),
    _early(
        "unread-rst",
        "closed with the reply unread, which the kernel makes a reset",
        Cut.WHOLE,
        (_GREETED, Say(b"EHLO check.example\r\n"), Notice(Step.EHLO), _FIN),
        "rst-mid-session",
        "rst-while-writing",
    ),
)
