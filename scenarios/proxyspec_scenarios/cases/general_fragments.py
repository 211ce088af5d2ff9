"""Headers in pieces: split at every byte, byte by byte, late (sections 2 and 2.2)."""

from proxyspec.casebook import REAL, REFUSED, Chapter, dribble, proxied, split
from proxyspec.layers.authoring import noop, unknown, v1, v2
from proxyspec.model import Level, Pause, Send
from proxyspec_scenarios.headers import EHLO, SERVES_UNKNOWN, V2

chapter = Chapter(
    "general/fragments",
    section="2",
    control="v1/tcp4/ok",
    versions=[1],
    requirements={"": ("gen.fragments", "gen.exact-length", "v2.header.partial")},
)
either = chapter.either

either("two", split(v1(), 20), "A header in two pieces is read whole, or refused", proxied(), REFUSED)
either(
    "bytewise",
    dribble(v1(), seconds=0.01),
    "A header byte by byte is read whole, or refused",
    proxied(),
    REFUSED,
)
either(
    "bytewise-v2",
    dribble(v2(), seconds=0.01),
    "A binary header byte by byte is read whole, or refused",
    proxied(),
    REFUSED,
    versions=V2,
    control="v2/tcp4/ok",
)
either(
    "late",
    (Send(v1()[:20]), Pause(timeouts=0.8), Send(v1()[20:])),
    "A header completed shortly before the deadline is accepted, or refused",
    proxied(),
    REFUSED,
    waits=True,
)
either(
    "late-v2",
    (Send(v2()[:16]), Pause(timeouts=0.8), Send(v2()[16:])),
    "A binary header completed shortly before the deadline is accepted, or refused",
    proxied(),
    REFUSED,
    versions=V2,
    control="v2/tcp4/ok",
    waits=True,
)
for _at in range(1, len(v1())):
    either(
        f"v1-at-{_at:02}",
        split(v1(), _at),
        f"A line cut behind its byte {_at} is read whole, or refused",
        proxied(),
        REFUSED,
    )
for _at in range(1, len(v2())):
    either(
        f"v2-at-{_at:02}",
        split(v2(), _at),
        f"A binary header cut behind its byte {_at} is read whole, or refused",
        proxied(),
        REFUSED,
        versions=V2,
        control="v2/tcp4/ok",
    )
_PADDED = v2(tlvs=[noop(3)])
for _at in range(len(v2()), len(_PADDED)):
    either(
        f"tlv-at-{_at:02}",
        split(_PADDED, _at),
        f"A binary header cut behind its byte {_at}, within its TLV, is read whole, or refused",
        proxied(),
        REFUSED,
        versions=V2,
        control="v2/tlv/noop",
    )
either(
    "tcp6",
    split(v2("2001:db8::1", "2001:db8::2"), 30),
    "An IPv6 header cut within its source address is read whole, or refused",
    proxied("2001:db8::1"),
    REFUSED,
    versions=V2,
    control="v2/tcp6/ok",
)
either(
    "unknown",
    split(unknown(" 192.0.2.1 192.0.2.2 1111 25"), 20),
    "A line of UNKNOWN in two pieces is read whole, or refused; its addresses are never used",
    REAL,
    REFUSED,
    level=Level.MUST,
    control="v1/unknown/with-proxied",
    needs=SERVES_UNKNOWN,
    requirements=("v1.unknown.ignore", "gen.fragments", "gen.exact-length"),
)
for _name, _frame, _versions in (("v1", v1(), {1}), ("v2", v2(), {2})):
    either(
        f"{_name}-then-command",
        split(_frame + EHLO, len(_frame) - 1),
        "The last byte of a header and a command in one segment are told apart, or the header is refused",
        proxied(),
        REFUSED,
        versions=frozenset(_versions),
        control=f"{_name}/tcp4/ok",
        extra_replies=1,
    )
