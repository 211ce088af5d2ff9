"""Version 2, the binary header: fixed part, addresses and lengths (section 2.2)."""

from proxyspec.casebook import REAL, REFUSED, UNSEEN, Chapter, proxied
from proxyspec.layers.authoring import local, noop, tlv, v2
from proxyspec.model import Crowd, Level, Timing
from proxyspec_scenarios.headers import EHLO

chapter = Chapter(
    "v2",
    section="2.2",
    control="v2/tcp4/ok",
    versions=[2],
    requirements={
        "tcp4": ("v2.support", "v2.address.layout"),
        "tcp6": ("v2.support", "v2.address.layout"),
        "address": ("v2.address.layout", "v2.byte-order"),
        "address/loopback": ("v2.address.layout", "smtp.addr.privilege"),
        "signature": ("v2.signature", "detect.order"),
        "version": ("v2.version", "detect.order"),
        "command": ("v2.command",),
        "local": ("v2.local.accept", "v2.local.discard", "v2.length.skip"),
        "local/truncated": ("v2.header.partial", "inv.atomic-address"),
        "local/family-without-block": ("v2.local.accept", "v2.local.discard"),
        "local/family": ("v2.local.discard", "v2.family.undefined"),
        "proxy": ("v2.unspec", "v2.family.unsupported"),
        "family": ("v2.family.undefined",),
        "length": ("v2.length.address", "v2.length.skip"),
        "length/total": ("v2.header.size", "v2.length.skip"),
        "length/536": ("v2.header.size", "v2.length.skip"),
        "length/beyond": ("v2.header.size", "v2.length.any"),
        "length/starved": ("v2.header.partial", "inv.bounded"),
    },
)
accepts, accepts_real, rejects, either = chapter.accepts, chapter.accepts_real, chapter.rejects, chapter.either

_TCP4 = v2()
_BLOCK = _TCP4[16:]
_SIX = ("2001:db8::1", "2001:db8::2")
_TCP6 = v2(*_SIX)
_BLOCK6 = _TCP6[16:]
_UNIX = v2("/run/src.sock", "/run/dst.sock")
_BLOCK_UNIX = _UNIX[16:]

accepts("tcp4/ok", _TCP4, "A complete TCP4 header is accepted")
accepts("tcp6/ok", v2(*_SIX), "A complete TCP6 header is accepted", sees="2001:db8::1")
accepts(
    "address/order", v2("1.2.3.4", "5.6.7.8", 2320, 4370), "The source comes first, in network order", sees="1.2.3.4"
)
accepts(
    "address/order-tcp6",
    v2("2001:db8:1:2:3:4:5:6", "2001:db8:7:8:9:a:b:c", 2320, 4370),
    "The source comes first over IPv6, too, in network order",
    sees="2001:db8:1:2:3:4:5:6",
)
for _name, _src in (
    ("loopback", "127.0.0.3"),
    ("multicast", "224.0.0.1"),
    ("broadcast", "255.255.255.255"),
    ("any", "0.0.0.0"),  # noqa: S104 - an address to be shown, not one to listen on
    ("any-tcp6", "::"),
    ("loopback-tcp6", "::1"),
):
    either(
        f"address/{_name}",
        v2(_src, "192.0.2.2" if "." in _src else _SIX[1]),
        "An address that no client has is shown as it came, or refused; it is never the peer's own",
        proxied(_src),
        REFUSED,
        level=Level.SECURITY,
        requirements=("v2.address.layout", "smtp.addr.privilege"),
    )
either(
    "address/mapped",
    v2("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
    "An IPv4-mapped address is accepted, mapped or not",
    proxied("::ffff:192.0.2.1"),
    proxied(),
)
for _name, _sport, _dport in (("zero", 0, 0), ("highest", 65535, 65535), ("sign", 32768, 32768)):
    accepts(f"address/port-{_name}", v2(sport=_sport, dport=_dport), "Every port of 16 bits is in range")

rejects("signature/first-byte", b"\x0c" + _TCP4[1:], "A signature with a wrong first byte is refused")
rejects("signature/nul-replaced", _TCP4[:4] + b" " + _TCP4[5:], "The whole signature counts, its NUL included")
for _place in range(1, 12):
    rejects(
        f"signature/byte-{_place}",
        _TCP4[:_place] + bytes([_TCP4[_place] ^ 1]) + _TCP4[_place + 1 :],
        f"A signature whose byte {_place} differs in one bit is refused",
    )
rejects("signature/only", _TCP4[:12], "The signature alone is no header", level=Level.EITHER, waits=True)
rejects("signature/fifteen-bytes", _TCP4[:15], "A length of one byte is no length", level=Level.EITHER, waits=True)
for _number in (0, 1, *range(3, 16)):
    rejects(f"version/{_number}", v2(version=_number), f"A binary header of version {_number} is refused")
for _number in range(2, 16):
    rejects(f"command/{_number}", v2(command=_number), f"Command {_number} is not assigned and refused")
rejects("command/2-empty", v2(command=2, family=0, address=b""), "An unassigned command is not taken for LOCAL")

accepts_real("local/empty", local(), "LOCAL is served with the connection's own address")
accepts_real("local/with-address", v2(command=0), "The address block of LOCAL is skipped and not used")
accepts_real("local/with-address-tcp6", v2(*_SIX, command=0), "IPv6 addresses of LOCAL are skipped and not used")
accepts_real("local/zero-address", v2(command=0, address=bytes(12)), "An address block of zeros is skipped")
accepts_real("local/family-without-block", v2(command=0, address=b""), "LOCAL needs no block, whatever its family")
accepts_real("local/opaque", v2(command=0, family=0, address=_BLOCK), "Bytes behind LOCAL and UNSPEC are skipped")
accepts_real("local/short-block", v2(command=0, address=_BLOCK[:5]), "A block of any length is skipped behind LOCAL")
accepts_real("local/with-tlv", local([tlv(0x04, "abc")]), "TLVs of LOCAL are skipped")
accepts_real("local/with-address-and-tlv", v2(command=0, tlvs=[noop(3)]), "Addresses and TLVs of LOCAL are skipped")
accepts_real("local/unix", v2("/run/src.sock", "/run/dst.sock", command=0), "UNIX addresses of LOCAL are skipped")
for _name, _family in (("f3", 0xF3), ("13", 0x13), ("40", 0x40), ("03", 0x03)):
    either(
        f"local/family-{_name}",
        v2(command=0, family=_family, address=b""),
        "LOCAL with an undefined family is served as the peer, or refused",
        REAL,
        REFUSED,
    )
rejects(
    "local/truncated",
    v2(command=0, family=0, address=b"", length=12),
    "LOCAL ends where its length says",
    waits=True,
    control="v2/local/opaque",
)

for _name, _frame, _title in (
    ("unspec", v2(family=0, address=b""), "PROXY with AF_UNSPEC is served as the peer, or refused"),
    ("unspec-12", v2(family=0), "Twelve bytes behind AF_UNSPEC are never an address"),
    ("unspec-36", v2(*_SIX, family=0), "Thirty-six bytes behind AF_UNSPEC are never an address"),
    ("unspec-stream", v2(family=0x01), "An unspecified family over STREAM is never TCP over IPv4"),
    ("unspec-datagram", v2(family=0x02), "An unspecified family over DGRAM is never TCP over IPv4"),
    ("inet-unspec", v2(family=0x10), "IPv4 over an unspecified transport is never TCP"),
    ("inet6-unspec", v2(*_SIX, family=0x20), "IPv6 over an unspecified transport is never TCP"),
    ("unix-unspec", v2("/a", "/b", family=0x30), "UNIX over an unspecified transport is never TCP"),
    ("unix-stream", _UNIX, "A UNIX stream is served as the peer, or refused"),
    ("unix-datagram", v2("/a", "/b", family=0x32), "UNIX datagrams are served as the peer, or refused"),
    ("unix-control-bytes", v2(b"/a\r\nX: y\x1b[2J\0", b"/b"), "Control bytes of a path are never repeated"),
):
    either(f"proxy/{_name}", _frame, _title, REAL, REFUSED, forbid=(b"\x1b[2J", b"\r\nX: y"))
either(
    "proxy/udp4",
    v2(family=0x12),
    "UDP over IPv4 on a TCP listener is served as the peer, or refused",
    REAL,
    REFUSED,
    proxied(),
)
either(
    "proxy/udp6",
    v2(*_SIX, family=0x22),
    "UDP over IPv6 on a TCP listener is served as the peer, or refused",
    REAL,
    REFUSED,
    proxied("2001:db8::1"),
)

for _family in (
    *range(0x13, 0x20),
    *(number << 4 | 1 for number in range(4, 16)),
    *(0x03, 0x0F, 0x33, 0x3F, 0x40, 0x44, 0xF0, 0xFF),
):
    rejects(
        f"family/{_family:02x}",
        v2(family=_family),
        f"{'An unassigned transport' if _family < 0x40 else 'An unassigned family'} is refused",
    )
for _family in range(0x23, 0x30):
    rejects(
        f"family/{_family:02x}",
        v2(*_SIX, family=_family),
        "An unassigned transport over IPv6 is refused",
        control="v2/tcp6/ok",
    )

rejects("length/zero", v2(address=b""), "An empty address block is too short for TCP4", timing=Timing.PROMPT)
rejects(
    "length/zero-tcp6",
    v2(family=0x21, address=b""),
    "An empty address block is too short for TCP6",
    control="v2/tcp6/ok",
)
for _size in (1, 4, 8, 11):
    rejects(f"length/{_size}", v2(address=_BLOCK[:_size]), f"A block of length {_size} is too short for TCP4")
for _size in (12, 35):
    rejects(
        f"length/{_size}-tcp6",
        v2(family=0x21, address=_BLOCK6[:_size]),
        f"A block of length {_size} is too short for TCP6",
        control="v2/tcp6/ok",
    )
for _name, _frame, _title in (
    ("215-unix", v2(family=0x31, address=_BLOCK_UNIX[:215]), "A block of 215 bytes is too short for two UNIX paths"),
    ("zero-udp4", v2(family=0x12, address=b""), "An empty address block is too short for UDP over IPv4"),
):
    either(
        f"length/{_name}",
        _frame,
        f"{_title}; where that family is not implemented it is skipped, and the peer served",
        REAL,
        REFUSED,
        requirements=("v2.length.address", "v2.family.unsupported"),
    )
either(
    "length/zero-unix-with-payload",
    v2(family=0x31, address=b"") + b"NOOP " + b"x" * 300 + b"\r\n",
    "Payload is never borrowed as UNIX paths",
    REAL,
    REFUSED,
    level=Level.SECURITY,
    extra_replies=1,
    requirements=("v2.length.skip", "inv.header-not-payload"),
)
rejects(
    "length/11-with-payload",
    v2(length=11) + EHLO,
    "Payload is never borrowed as address",
    level=Level.SECURITY,
)
rejects(
    "length/zero-with-payload",
    v2(length=0) + EHLO,
    "An empty block is never filled with payload",
    level=Level.SECURITY,
)
rejects(
    "length/35-tcp6-with-payload",
    v2(*_SIX, length=35) + EHLO,
    "Payload is never borrowed as IPv6 address",
    level=Level.SECURITY,
    control="v2/tcp6/ok",
)
rejects("length/one-more", v2(length=13), "A header is awaited up to its length", waits=True)
rejects("length/byte-swapped", v2(length=12 << 8), "The length is in network order", waits=True)
for _total in (31, 52, 107, 108, 231, 232, 233, 255, 256, 271, 272, 512, 535):
    accepts(
        f"length/total-{_total}",
        v2(tlvs=[noop(_total - 31)]),
        f"A header of {_total} bytes is accepted",
        section="2",
    )
accepts("length/536", v2(tlvs=[noop(505)]), "A header of 536 bytes is accepted", section="2")
accepts(
    "length/total-536-tcp6",
    v2(*_SIX, tlvs=[noop(536 - 55)]),
    "An IPv6 header of 536 bytes is accepted",
    sees="2001:db8::1",
    section="2",
)
for _name, _size in (
    ("537", 537 - 31),
    ("4112", 4096 - 15),
    ("4113", 4097 - 15),
    ("16384", 16368 - 15),
    ("16385", 16369 - 15),
    ("65551", 65535 - 15),
):
    either(
        f"length/beyond-{_name}",
        v2(tlvs=[noop(_size)]),
        f"A header of {_name} bytes is read whole, or refused",
        proxied(),
        REFUSED,
    )
either(
    "length/beyond-many-tlvs",
    v2(tlvs=[noop(997)] * 16),
    "A header of sixteen kilobytes in many TLVs is read whole, or refused",
    proxied(),
    REFUSED,
)
either(
    "length/beyond-65551-with-payload",
    v2(tlvs=[noop(65535 - 15)]) + EHLO,
    "A command behind the longest header is no part of it",
    proxied(),
    REFUSED,
    extra_replies=1,
)
rejects(
    "length/starved",
    v2(length=65535),
    "The longest header does not hold the connection past the deadline",
    level=Level.SECURITY,
    waits=True,
)
chapter.add(
    "length/starved-crowd",
    _TCP4,
    "A hundred connections that announce 65535 bytes and send twelve stand in nobody's way",
    (*proxied(), *UNSEEN),
    level=Level.SECURITY,
    crowd=Crowd(100, v2(length=65535)),
    requirements=("inv.bounded",),
)
