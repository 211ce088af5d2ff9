"""What a connection leaves behind: after each truncation, half-close, reset and crash the target still serves, idle.

A server that spins looks like silence on the wire, so its processes are watched where the target profile names them.
"""

from proxyspec.casebook import LEFT, REAL, REFUSED, UNSEEN, Chapter, proxied
from proxyspec.layers.authoring import TLVType, local, ssl, tlv, unknown, v1, v2
from proxyspec.model import Await, Crowd, HalfClose, Level, Reset, Send
from proxyspec_scenarios.headers import BOTH, EHLO, NEXT_V1, SERVES_UNKNOWN, TOO_LONG, V1, next_of

chapter = Chapter(
    "aftermath",
    section="2",
    control="v1/tcp4/ok",
    level=Level.SECURITY,
    versions=[1],
    requirements={
        "": ("inv.quiet-crash", "inv.per-connection"),
        "half-close": ("gen.end-of-stream", "inv.quiet-crash"),
        "reset": ("smtp.peer-reset", "inv.quiet-crash"),
        "stale": ("inv.per-connection", "inv.atomic-address"),
    },
)

#: What else the cases of malformed headers test, beside the one rule that each of the headers breaks.
_HARMLESS = ("gen.abort", "inv.quiet-crash", "inv.per-connection")
_FRAMES = ((1, "v1", v1()), (2, "v2", v2()))

for _version, _name, _frame in _FRAMES:
    _versions, _control = frozenset({_version}), f"{_name}/tcp4/ok"
    _sizes = (1, 5, 8, 15, 20, len(_frame) - 2, len(_frame) - 1) if _version == 1 else (1, 12, 13, 14, 15, 16, 27)
    for _size in _sizes:
        chapter.rejects(
            f"half-close/{_name}-{_size:02}",
            (Send(_frame[:_size]), HalfClose()),
            f"A FIN behind byte {_size} of a header ends that connection and nothing else",
            versions=_versions,
            control=_control,
            premise=f"malformed/{_name}/cut/{_size:02}",
            then=next_of(_version),
        )
        chapter.add(
            f"reset/{_name}-{_size:02}",
            (Send(_frame[:_size]), Reset()),
            f"A reset behind byte {_size} of a header ends that connection and nothing else",
            LEFT,
            versions=_versions,
            then=next_of(_version),
        )
    chapter.add(
        f"half-close/{_name}-complete",
        (Send(_frame), HalfClose()),
        "A FIN behind the header ends that connection and nothing else",
        (*UNSEEN, *REFUSED),
        versions=_versions,
        control=_control,
        then=next_of(_version),
    )
    chapter.add(
        f"reset/{_name}-complete",
        (Send(_frame), Reset()),
        "A health check that resets behind its header ends that connection and nothing else",
        LEFT,
        versions=_versions,
        then=next_of(_version),
    )
    chapter.add(
        f"reset/{_name}-greeted",
        (Send(_frame), Await(), Reset()),
        "A reset behind the greeting ends that connection and nothing else",
        LEFT,
        versions=_versions,
        then=next_of(_version),
    )
    chapter.add(
        f"reset/{_name}-answered",
        (Send(_frame), Await(), Send(EHLO), Await(2), Reset()),
        "A reset in mid-session ends that connection and nothing else",
        LEFT,
        versions=_versions,
        then=next_of(_version),
    )
chapter.rejects(
    "half-close/empty",
    (HalfClose(),),
    "A FIN instead of a header ends that connection and nothing else",
    premise="general/half-close/empty",
    then=NEXT_V1,
)
chapter.add(
    "reset/empty",
    (Reset(),),
    "A reset instead of a header ends that connection and nothing else",
    LEFT,
    then=NEXT_V1,
)
chapter.add(
    "reset/local",
    (Send(local()), Reset()),
    "A health check that resets behind LOCAL ends that connection and nothing else",
    LEFT,
    versions=BOTH,
    then=next_of(2),
)

for _name, _bytes, _premise, _rule in (
    ("v1-one-word", b"PROXY\r\n", "v1/field/only-prefix", "v1.line.grammar"),
    ("v1-no-addresses", b"PROXY TCP4\r\n", "v1/field/missing-all", "v1.line.grammar"),
    ("v1-one-address", b"PROXY TCP4 192.0.2.1\r\n", "v1/field/missing-destination", "v1.line.grammar"),
    ("v1-bad-address", v1("999.0.2.1"), "v1/ip4/octet-999", "v1.ip4.form"),
    ("v1-bad-port", v1(dport="9" * 60), "v1/port/sixty-digits", "v1.port.range"),
    ("v1-nul", v1(rest="\0"), "v1/line-end/nul", "v1.line.crlf"),
    ("v1-not-ascii", v1(protocol=b"\xff\xfe"), "v1/protocol/not-ascii", "v1.protocol.known"),
    ("v1-too-long", TOO_LONG, "v1/length/4000", "v1.line.too-long"),
    ("v2-no-block", v2(address=b""), "v2/length/zero", "v2.length.address"),
    ("v2-no-block-tcp6", v2(family=0x21, address=b""), "v2/length/zero-tcp6", "v2.length.address"),
    ("v2-short-block", v2(address=v2()[16:27]), "v2/length/11", "v2.length.address"),
    ("v2-transport", v2(family=0x13), "v2/family/13", "v2.family.undefined"),
    ("v2-family", v2(family=0xF1), "v2/family/f1", "v2.family.undefined"),
    ("v2-command", v2(command=15), "v2/command/15", "v2.command"),
):
    _version = int(_premise[1])
    chapter.rejects(
        f"malformed/{_name}",
        _bytes,
        "A malformed header ends that connection and nothing else",
        versions=frozenset({_version}),
        control=f"v{_version}/tcp4/ok",
        premise=_premise,
        then=next_of(_version),
        requirements=(_rule, *_HARMLESS),
    )
for _name, _bytes, _rule in (
    ("tlv-overrun", v2(tlvs=[tlv(0x04, b"abc", 4)]), "tlv.bounds"),
    ("tlv-ffff", v2(tlvs=[tlv(0x04, b"abc", 0xFFFF)]), "tlv.bounds"),
    ("tlv-stray", v2(tlvs=[b"\x04"]), "tlv.bounds"),
    ("ssl-empty", v2(tlvs=[tlv(TLVType.SSL)]), "tlv.ssl.layout"),
    ("ssl-sub-overrun", v2(tlvs=[ssl(tlvs=[tlv(0x21, b"x", 99)])]), "tlv.bounds"),
    ("ssl-nested", v2(tlvs=[tlv(TLVType.SSL, b"\x01\0\0\0\0" + b"\x20\xff\xff\x01\0\0\0\0" * 1500)]), "tlv.bounds"),
    ("crc32c-short", v2(tlvs=[tlv(TLVType.CRC32C, b"\0")]), "tlv.crc32c.verify"),
    ("authority-bytes", v2(tlvs=[tlv(TLVType.AUTHORITY, b"\xff\xfe\0")]), "tlv.authority"),
):
    chapter.either(
        f"malformed/{_name}",
        _bytes,
        "A broken TLV does no harm but to its own connection",
        proxied(),
        UNSEEN,
        REFUSED,
        level=Level.SECURITY,
        versions=frozenset({2}),
        control="v2/tcp4/ok",
        then=next_of(2),
        requirements=(_rule, *_HARMLESS),
    )
# Of UDP and UNIX a receiver that implements neither knows no size of addresses: it skips what the length says.
for _name, _bytes, _rule in (
    ("unspec", v2(family=0, address=b""), "v2.unspec"),
    ("udp4-no-block", v2(family=0x12, address=b""), "v2.family.unsupported"),
    ("v2-no-block-unix", v2(family=0x31, address=b""), "v2.family.unsupported"),
    ("v2-short-unix", v2(family=0x31, address=b"/x"), "v2.family.unsupported"),
):
    chapter.add(
        f"malformed/{_name}",
        _bytes,
        "A header without a TCP address does no harm but to its own connection",
        (*REAL, *UNSEEN, *REFUSED),
        versions=frozenset({2}),
        control="v2/tcp4/ok",
        then=next_of(2),
        requirements=(_rule, *_HARMLESS[1:]),
    )
for _name, _bytes in (
    ("silent", b""),
    ("v1-partial", v1()[:20]),
    ("v2-partial", v2()[:14]),
    ("greeted", v1()),
):
    chapter.add(
        f"waiting/{_name}",
        v1(),
        "While another connection waits, the target serves, and idles behind it",
        (*proxied(), *UNSEEN),
        versions=BOTH if "v2" in _name else V1,
        crowd=Crowd(1, _bytes),
        then=NEXT_V1,
    )
chapter.accepts_real(
    "stale/after-refusal",
    unknown(),
    "A connection without an address never gets one that another's header carried",
    needs=SERVES_UNKNOWN,
    beside=NEXT_V1,
    then=NEXT_V1,
)
