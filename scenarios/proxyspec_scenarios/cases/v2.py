"""Version 2, the binary header: fixed part, addresses, lengths and TLVs (section 2.2)."""

from proxyspec.casebook import REAL, REFUSED, Chapter, proxied
from proxyspec.layers.authoring import SSLType, crc32c, local, noop, ssl, tlv, v2
from proxyspec.model import Level

chapter = Chapter("v2", section="2.2", control="v2/tcp4/ok", versions=[2])
accepts, accepts_real, rejects, either = chapter.accepts, chapter.accepts_real, chapter.rejects, chapter.either

_TCP4 = v2()
_CHECKED = v2(tlvs=[crc32c()])
_TCP4_BLOCK = _TCP4[16:]

accepts("tcp4/ok", _TCP4, "A complete TCP4 header is accepted")
accepts("tcp6/ok", v2("2001:db8::1", "2001:db8::2"), "A complete TCP6 header is accepted", sees="2001:db8::1")
accepts(
    "address/order", v2("1.2.3.4", "5.6.7.8", 2320, 4370), "The source comes first, in network order", sees="1.2.3.4"
)
rejects("signature/first-byte", b"\x0c" + _TCP4[1:], "A signature with a wrong first byte is refused")
rejects("signature/nul-replaced", _TCP4[:4] + b" " + _TCP4[5:], "The whole signature counts, its NUL included")
rejects("version/1", v2(version=1), "A binary header of version 1 is refused")
rejects("version/3", v2(version=3), "A binary header of version 3 is refused")
rejects("command/2", v2(command=2), "An unassigned command is refused")
accepts_real("local/empty", local(), "LOCAL is served with the connection's own address")
accepts_real("local/with-address", v2(command=0), "The address block of LOCAL is skipped and not used")
accepts_real("local/with-tlv", local([tlv(0x04, "abc")]), "TLVs of LOCAL are skipped")
rejects(
    "local/truncated",
    v2(command=0, family=0, address=b"", length=12),
    "LOCAL ends where its length says",
    waits=True,
    control="v2/local/with-address",
)
either(
    "proxy/unspec", v2(family=0, address=b""), "PROXY with AF_UNSPEC is served as the peer, or refused", REAL, REFUSED
)
either(
    "proxy/udp4",
    v2(family=0x12),
    "UDP over IPv4 on a TCP listener is served as the peer, or refused",
    REAL,
    REFUSED,
    proxied(),
)
rejects("family/13", v2(family=0x13), "An unassigned transport is refused")
rejects("family/41", v2(family=0x41), "An unassigned family is refused")
rejects("length/zero", v2(address=b""), "An empty address block is too short for TCP4")
rejects("length/11", v2(address=_TCP4_BLOCK[:11]), "Eleven bytes are too short for TCP4")
rejects(
    "length/11-with-payload",
    v2(length=11) + b"EHLO x\r\n",
    "Payload is never borrowed as address",
    level=Level.SECURITY,
)
accepts("length/536", v2(tlvs=[noop(505)]), "A header of 536 bytes is accepted")
accepts("tlv/unknown-type", v2(tlvs=[tlv(0x7E, b"abc")]), "A TLV of an unknown type is skipped")
accepts("tlv/noop", v2(tlvs=[noop(10)]), "NOOP is skipped", section="2.2.4")
accepts("tlv/ssl", v2(tlvs=[ssl(tlvs=[tlv(SSLType.VERSION, "TLSv1.3")])]), "An SSL TLV is accepted", section="2.2.6")
either(
    "tlv/overrun",
    v2(tlvs=[tlv(0x04, b"abc", 4)]),
    "A TLV that runs past the header is refused, or all TLVs are skipped",
    REFUSED,
    proxied(),
)
accepts("tlv/crc32c", _CHECKED, "A header with a right CRC32C is accepted", section="2.2.3")
rejects(
    "tlv/crc32c-mismatch",
    _CHECKED[:-1] + bytes([_CHECKED[-1] ^ 1]),
    "A wrong CRC32C ends the connection",
    section="2.2.3",
    control="v2/tlv/crc32c",
)
