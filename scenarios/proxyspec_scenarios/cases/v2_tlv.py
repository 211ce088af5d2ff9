"""The TLVs of version 2: their chain, CRC32C, SSL and its sub-TLVs (sections 2.2 and 2.2.1 to 2.2.8)."""

import zlib

from proxyspec.casebook import REAL, REFUSED, REFUSED_IN_WORDS, UNSEEN, Chapter, proxied
from proxyspec.layers.authoring import SSLClient, SSLType, TLVType, crc32c, local, noop, ssl, tlv, v2
from proxyspec.model import Await, Capability, Level, Send, StartTls
from proxyspec_scenarios.headers import EHLO

chapter = Chapter(
    "v2/tlv",
    section="2.2",
    control="v2/tcp4/ok",
    versions=[2],
    requirements={
        "": ("tlv.skip", "tlv.layout"),
        "type": ("tlv.skip", "tlv.reserved"),
        "overrun": ("tlv.bounds", "inv.header-not-payload"),
        "stray": ("tlv.bounds",),
        "noop": ("tlv.noop",),
        "alpn": ("tlv.alpn",),
        "noop-many": ("tlv.noop", "v2.header.size"),
        "authority": ("tlv.authority",),
        "authority-255": ("tlv.authority", "v2.header.size", "v2.length.skip"),
        "unique-id": ("tlv.unique-id",),
        "unique-id-128": ("tlv.unique-id", "v2.header.size"),
        "crc32c": ("tlv.crc32c.verify", "tlv.crc32c.scope"),
        "crc32c-mismatch": ("tlv.crc32c.abort",),
        "crc32c-wrong": ("tlv.crc32c.abort", "tlv.crc32c.verify"),
        "ssl": ("tlv.ssl.layout", "tlv.ssl.sub-types"),
        "ssl-client": ("tlv.ssl.client",),
        "ssl-broken": ("tlv.ssl.layout", "tlv.bounds"),
        "netns": ("tlv.netns",),
        "log-injection": ("tlv.authority", "inv.visible"),
    },
)
accepts, accepts_real, rejects, either = chapter.accepts, chapter.accepts_real, chapter.rejects, chapter.either

_CRC = frozenset({Capability.CRC32C})
_CHECKED = v2(tlvs=[crc32c()])
_LOCAL_CHECKED = local([crc32c()])


def _with_crc(value: int) -> bytes:
    return _CHECKED[:-4] + value.to_bytes(4, "big")


_RIGHT = int.from_bytes(_CHECKED[-4:], "big")

for _size in (1, 2):
    either(
        f"stray-{_size}",
        v2(tlvs=[b"\x04\0"[:_size]]),
        "Bytes too few for a TLV are refused, or all TLVs are skipped",
        REFUSED,
        proxied(),
    )
either(
    "overrun",
    v2(tlvs=[tlv(0x04, b"abc", 4)]),
    "A TLV that runs past the header is refused, or all TLVs are skipped",
    REFUSED,
    proxied(),
)
for _name, _tlv in (
    ("overrun-into-payload", tlv(0x04, b"abc", 4)),
    ("overrun-all-payload", tlv(0x04, b"abc", 3 + len(EHLO))),
    ("overrun-ffff", tlv(0x04, b"abc", 0xFFFF)),
):
    either(
        _name,
        v2(tlvs=[_tlv]) + EHLO,
        "A command behind the header never becomes part of a TLV",
        REFUSED,
        proxied(),
        level=Level.SECURITY,
        extra_replies=1,
    )
either(
    "overrun-second",
    v2(tlvs=[noop(4), tlv(0x02, b"abc", 200)]),
    "A later TLV that runs past the header is refused, or all TLVs are skipped",
    REFUSED,
    proxied(),
)

accepts("unknown-type", v2(tlvs=[tlv(0x7E, b"abc")]), "A TLV of an unknown type is skipped")
for _nibble in range(16):
    _types = [_nibble << 4 | low for low in range(16)]
    accepts(
        f"type-{_nibble:x}0",
        v2(tlvs=[tlv(kind, b"a") for kind in _types if kind not in (TLVType.CRC32C, TLVType.SSL)]),
        f"TLVs of the types {_types[0]:02x} to {_types[-1]:02x} are understood or skipped",
    )
for _name, _type in (
    ("00", 0x00),
    ("custom-first", 0xE0),
    ("custom-last", 0xEF),
    ("experiment-first", 0xF0),
    ("experiment-last", 0xF7),
    ("future-first", 0xF8),
    ("future-last", 0xFF),
):
    accepts(
        f"type/{_name}",
        v2(tlvs=[tlv(_type, b"abc")]),
        f"A TLV of the type {_type:02x} is skipped by its length",
        section="2.2.8" if _type else "2.2",
    )
accepts("empty-value", v2(tlvs=[tlv(0x7E)]), "A TLV may be empty")
accepts("tcp6", v2("2001:db8::1", "2001:db8::2", tlvs=[noop(3)]), "TLVs follow IPv6 addresses", sees="2001:db8::1")
accepts("noop", v2(tlvs=[noop(10)]), "NOOP is skipped", section="2.2.4")
accepts("noop-empty", v2(tlvs=[noop()]), "An empty NOOP is skipped", section="2.2.4")
accepts("noop-many", v2(tlvs=[noop()] * 100), "A hundred NOOPs are skipped", section="2.2.4")
accepts(
    "noop-header-inside",
    v2(tlvs=[tlv(TLVType.NOOP, v2("198.51.100.9"))]),
    "A header inside a NOOP is padding",
    section="2.2.4",
)
either(
    "duplicate",
    v2(tlvs=[tlv(TLVType.AUTHORITY, "a.test"), tlv(TLVType.AUTHORITY, "b.test")]),
    "A type that comes twice is accepted, or refused",
    proxied(),
    REFUSED,
)
chapter.add(
    "pipelined",
    (Send(v2(tlvs=[noop(5)]) + EHLO), Await(2)),
    "A command behind TLVs is answered, or its sender turned away in words",
    (*proxied(), *UNSEEN, *REFUSED_IN_WORDS),
    extra_replies=1,
    control="v2/tlv/noop",
    requirements=("gen.exact-length", "tlv.skip", "smtp.early-talker.after-header"),
)
accepts("alpn", v2(tlvs=[tlv(TLVType.ALPN, "smtp")]), "ALPN is accepted", section="2.2.1")
accepts("alpn-bytes", v2(tlvs=[tlv(TLVType.ALPN, b"\0\xff\r\n")]), "ALPN is any string of bytes", section="2.2.1")
for _size in (1, 255):
    accepts(
        f"authority-{_size}", v2(tlvs=[tlv(TLVType.AUTHORITY, b"a" * _size)]), "AUTHORITY is accepted", section="2.2.2"
    )
either(
    "authority-256",
    v2(tlvs=[tlv(TLVType.AUTHORITY, b"a" * 256)]),
    "AUTHORITY longer than a host name is accepted, or refused",
    proxied(),
    REFUSED,
    section="2.2.2",
)
for _name, _type in (("authority", TLVType.AUTHORITY), ("unique-id", TLVType.UNIQUE_ID), ("alpn", TLVType.ALPN)):
    either(
        f"log-injection/{_name}",
        v2(tlvs=[tlv(_type, b"\xff\xfe\r\nX-Forged: y\x1b[2J\0z")]),
        "Control bytes of a TLV are never repeated as they are",
        proxied(),
        REFUSED,
        level=Level.SECURITY,
        forbid=(b"\r\nX-Forged", b"\x1b[2J"),
    )
accepts("unique-id-1", v2(tlvs=[tlv(TLVType.UNIQUE_ID, b"u")]), "UNIQUE_ID is accepted", section="2.2.5")
accepts(
    "unique-id-128",
    v2(tlvs=[tlv(TLVType.UNIQUE_ID, b"u" * 128)]),
    "UNIQUE_ID of 128 bytes is accepted",
    section="2.2.5",
)
either(
    "unique-id-129",
    v2(tlvs=[tlv(TLVType.UNIQUE_ID, b"u" * 129)]),
    "UNIQUE_ID of more than 128 bytes is refused, or passed over",
    proxied(),
    REFUSED,
    section="2.2.5",
)

accepts("crc32c", _CHECKED, "A header with a right CRC32C is accepted", section="2.2.3")
accepts(
    "crc32c-first",
    v2(tlvs=[tlv(TLVType.AUTHORITY, "a.test"), crc32c(), tlv(TLVType.NOOP, "abcd")]),
    "The checksum covers what comes behind it",
    section="2.2.3",
)
accepts(
    "crc32c-tcp6",
    v2("2001:db8::1", "2001:db8::2", tlvs=[crc32c()]),
    "The checksum covers IPv6 addresses",
    sees="2001:db8::1",
    section="2.2.3",
)
chapter.add(
    "crc32c-payload",
    _CHECKED + EHLO,
    "The checksum does not cover the payload; who speaks before the greeting may be turned away in words",
    (*proxied(), *REFUSED_IN_WORDS),
    extra_replies=1,
    section="2.2.3",
    control="v2/tlv/crc32c",
)
accepts(
    "crc32c-payload-tls",
    (StartTls(_CHECKED),),
    "The checksum does not cover the handshake behind it",
    section="2.2.3",
    needs=frozenset({Capability.IMPLICIT_TLS}),
)
accepts_real("crc32c-local", _LOCAL_CHECKED, "LOCAL with a right CRC32C is served as the peer", section="2.2.3")
for _name, _value, _title in (
    ("mismatch", _RIGHT ^ 1, "A wrong CRC32C ends the connection"),
    ("mismatch-first-bit", _RIGHT ^ 1 << 31, "A CRC32C wrong in its first bit ends the connection"),
    ("wrong-zero", 0, "A CRC32C of zero is a checksum like any other"),
    ("wrong-ones", 0xFFFFFFFF, "A CRC32C of ones is a checksum like any other"),
    ("wrong-ieee", zlib.crc32(_with_crc(0)), "The polynomial is Castagnoli's, not that of IEEE 802.3"),
    ("wrong-byte-order", int.from_bytes(_CHECKED[-4:], "little"), "The checksum is in network order"),
    ("wrong-no-final-xor", _RIGHT ^ 0xFFFFFFFF, "The checksum is inverted at its end"),
):
    rejects(f"crc32c-{_name}", _with_crc(_value), _title, section="2.2.3", needs=_CRC, control="v2/tlv/crc32c")
rejects(
    "crc32c-mismatch-local",
    _LOCAL_CHECKED[:-1] + bytes([_LOCAL_CHECKED[-1] ^ 1]),
    "A wrong CRC32C ends LOCAL, too",
    section="2.2.3",
    needs=_CRC,
    control="v2/tlv/crc32c-local",
)
rejects(
    "crc32c-mismatch-address",
    _CHECKED[:19] + b"\x02" + _CHECKED[20:],
    "An address changed behind the checksum's back ends the connection",
    section="2.2.3",
    needs=_CRC,
    control="v2/tlv/crc32c",
)
rejects(
    "crc32c-mismatch-not-last",
    v2(tlvs=[crc32c(_RIGHT), noop(3)]),
    "A checksum of the TLVs before it alone ends the connection",
    section="2.2.3",
    needs=_CRC,
    control="v2/tlv/crc32c-first",
)
for _size in (0, 3, 5):
    rejects(
        f"crc32c-length-{_size}",
        v2(tlvs=[tlv(TLVType.CRC32C, bytes(_size))]),
        f"A checksum of {_size} bytes is none",
        section="2.2.3",
        level=Level.IMPLIED,
        needs=_CRC,
        control="v2/tlv/crc32c",
    )
either(
    "crc32c-twice",
    v2(tlvs=[crc32c(), crc32c()]),
    "Two checksums are accepted, or refused",
    proxied(),
    REFUSED,
    section="2.2.3",
)

_VERSION = tlv(SSLType.VERSION, "TLSv1.3")
accepts("ssl", v2(tlvs=[ssl(tlvs=[_VERSION])]), "An SSL TLV is accepted", section="2.2.6")
accepts("ssl-alone", v2(tlvs=[ssl()]), "An SSL TLV needs no sub-TLVs", section="2.2.6")
for _sub in range(0x21, 0x29):
    accepts(
        f"ssl-sub-{_sub:02x}",
        v2(tlvs=[ssl(tlvs=[tlv(_sub, b"x" * (40 if _sub == SSLType.CLIENT_CERT else 9))])]),
        f"The SSL sub-TLV {SSLType(_sub).name} is understood or skipped",
        section="2.2.6",
    )
accepts(
    "ssl-sub-unknown",
    v2(tlvs=[ssl(tlvs=[tlv(0x2F, "x"), tlv(0xE0, "y")])]),
    "SSL sub-TLVs without a name are skipped",
    section="2.2.6",
)
accepts(
    "ssl-sub-all",
    v2(tlvs=[ssl(tlvs=[tlv(sub, "x") for sub in range(0x21, 0x28)])]),
    "All SSL sub-TLVs may come together",
    section="2.2.6",
)
either(
    "ssl-sub-certificate",
    v2(tlvs=[ssl(tlvs=[tlv(SSLType.CLIENT_CERT, b"\x30" * 2000)])]),
    "A client certificate of two kilobytes is read whole, or refused",
    proxied(),
    REFUSED,
    section="2.2.6",
)
for _name, _client, _verify in (
    ("none", 0, 0),
    ("tls", SSLClient.SSL, 0),
    ("certificate", SSLClient.SSL | SSLClient.CERT_CONN | SSLClient.CERT_SESS, 0),
    ("unverified", SSLClient.SSL | SSLClient.CERT_CONN, 19),
    ("unknown-bits", 0xF8, 0),
    ("all-bits", 0xFF, 0xFFFFFFFF),
):
    accepts(
        f"ssl-client/{_name}",
        v2(tlvs=[ssl(client=_client, verify=_verify)]),
        "Every value of the SSL client field is read, unknown bits are passed over",
        section="2.2.6",
    )
for _name, _broken in (
    ("empty", tlv(TLVType.SSL)),
    ("four-bytes", tlv(TLVType.SSL, b"\x01\0\0\0")),
    ("sub-overrun", ssl(tlvs=[tlv(SSLType.VERSION, "TLSv1.3", 200)])),
    ("sub-stray", ssl(tlvs=[b"\x21\0"])),
    ("sub-overrun-next", ssl(tlvs=[tlv(SSLType.CN, "x", 4)])),
):
    either(
        f"ssl-broken/{_name}",
        v2(tlvs=[_broken, noop(8)]),
        "A broken SSL TLV is refused, or passed over; its sub-TLVs end with it",
        proxied(),
        REFUSED,
        section="2.2.6",
        level=Level.IMPLIED,
    )


def _nested(depth: int) -> bytes:
    frame = b""
    for _ in range(depth):
        frame = bytes(tlv(TLVType.SSL, b"\x01\0\0\0\0" + frame))
    return frame


for _depth in (2, 60, 500, 1500):
    either(
        f"ssl-nested/{_depth}",
        v2(tlvs=[_nested(_depth)]),
        f"SSL inside SSL, {_depth} deep, is refused, or passed over",
        proxied(),
        REFUSED,
        section="2.2.6",
        level=Level.SECURITY,
        requirements=("tlv.bounds", "inv.quiet-crash"),
    )
accepts("ssl-sub-at-top", v2(tlvs=[_VERSION]), "An SSL sub-TLV outside an SSL TLV is skipped", section="2.2.6")
accepts("netns", v2(tlvs=[tlv(TLVType.NETNS, "blue")]), "NETNS is accepted", section="2.2.7")
either(
    "netns-path",
    v2(tlvs=[tlv(TLVType.NETNS, "../../etc/passwd")]),
    "A NETNS that is a path is passed over, or refused",
    proxied(),
    REFUSED,
    section="2.2.7",
)
for _size in (1024, 1025):
    either(
        f"value-{_size}",
        v2(tlvs=[tlv(0xE1, b"x" * _size)]),
        f"A value of {_size} bytes is skipped, or refused",
        proxied(),
        REFUSED,
    )
accepts_real("local", local([tlv(TLVType.AUTHORITY, "a.test"), noop(3)]), "TLVs of LOCAL are skipped")
either(
    "local-overrun",
    local([tlv(0x04, b"abc", 4)]),
    "A TLV of LOCAL that runs past the header is refused, or skipped",
    REAL,
    REFUSED,
    requirements=("tlv.bounds",),
)
