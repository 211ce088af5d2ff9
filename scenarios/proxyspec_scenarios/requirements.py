"""What a receiver owes: every rule of the PROXY protocol text and of SMTP around it, in our own words.

The text is that of revision 2026-04-27 (doc/proxy-protocol.txt of HAProxy). A rule that can be seen from outside has
cases, which name it in `Case.requirements`; one that cannot has the reason here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from proxyspec.model import Case, Level, Requirement

__all__ = ["REQUIREMENTS", "coverage"]

MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY
IMPLIED, SECURITY, EITHER = Level.IMPLIED, Level.SECURITY, Level.EITHER


_SENDER = "binds senders; what a receiver may meet is tested as a header like any other"
_UDP = "datagrams carry a header each; a mail server listens on TCP"

_GENERAL = (
    Requirement("gen.wait-for-header", "2", "MUST NOT", MUST, "Nothing is processed or said before the whole header"),
    Requirement("gen.timeout", "2", "may", MAY, "A connection whose header does not come is ended after a while"),
    Requirement("gen.timeout.least", "2", "at least", SHOULD, "That while is three seconds or more"),
    Requirement(
        "gen.fragments",
        "2",
        "may",
        EITHER,
        "A header in pieces is read whole, which is recommended, or the connection is dropped",
        conflicts=("v2.header.partial",),
    ),
    Requirement(
        "gen.exact-length", "2.1, 2.2", "", IMPLIED, "Exactly the header is taken from the stream, no byte more"
    ),
    Requirement("gen.one-header", "2", "", SECURITY, "A connection has one header; a later one is payload"),
    Requirement(
        "gen.abort",
        "2.1",
        "must",
        MUST,
        "What matches no header is discarded and the connection ended, best at once",
    ),
    Requirement("gen.end-of-stream", "2.2", "must", IMPLIED, "An end of stream within the header ends the connection"),
    Requirement("gen.atomic-send", "2", "must", MUST, "A header is sent at once", untested=_SENDER),
    Requirement(
        "gen.no-multiplexing",
        "2",
        "MUST NOT",
        MUST,
        "One connection carries one client",
        untested=_SENDER,
    ),
    Requirement("gen.datagrams", "2", "", MUST, "Over UDP each datagram has its own header", untested=_UDP),
)

_TRUST = (
    Requirement(
        "trust.config-only", "2, 5", "MUST", MUST, "Configuration, not the bytes, says whether headers are expected"
    ),
    Requirement(
        "trust.source-filter",
        "2, 5",
        "SHOULD",
        SHOULD,
        "Only listed peers may use the protocol",
        conditions=("an address the target does not trust",),
    ),
    Requirement("trust.no-header-from-trusted", "2", "MUST", MUST, "A listed peer without a header gets no service"),
    Requirement(
        "trust.real-peer-for-filter",
        "5",
        "",
        SECURITY,
        "The list is compared with the TCP peer, never with an address inside a header",
    ),
    Requirement("trust.chain", "4.1", "", MAY, "Of several proxies in a row the last one's header tells the client"),
)

_DETECT = (
    Requirement(
        "detect.order",
        "2.2",
        "must",
        MUST,
        "Version 2 is told by its signature and version, then version 1 by its prefix; all else is dropped",
        conditions=("the low half of the 13th byte, the command, does not take part in this",),
    ),
    Requirement(
        "detect.partial-prefix",
        "2.2",
        "",
        EITHER,
        "Fewer bytes than tell the version may be waited on while they can still become a header",
    ),
    Requirement(
        "detect.both",
        "2.2",
        "may",
        MAY,
        "One port may take both versions",
        untested="a permission; --versions declares which are taken, and each has its cases",
    ),
)

_V1 = (
    Requirement("v1.support", "2", "MUST", MUST, "A receiver of version 1 takes the text line"),
    Requirement(
        "v1.line.grammar",
        "2.1",
        "exactly",
        MUST,
        "A line is prefix, protocol, two addresses, two ports and CRLF, no more",
    ),
    Requirement("v1.case", "2.1", "", MUST, "Prefix and protocol are the printed upper-case bytes"),
    Requirement("v1.separator", "2.1", "exactly", MUST, "Exactly one space, 0x20, stands between two fields"),
    Requirement("v1.protocol.known", "2.1", "only", MUST, "The protocol is TCP4, TCP6 or UNKNOWN"),
    Requirement(
        "v1.address.source-first", "2.1", "", MUST, "The source address and port come before the destination's"
    ),
    Requirement(
        "v1.ip4.form", "2.1", "must", MUST, "An IPv4 address is four decimal numbers of 0 to 255 without leading zeros"
    ),
    Requirement(
        "v1.ip6.form", "2.1", "must", MUST, "An IPv6 address is groups of hexadecimal digits, 128 bits in all, one '::'"
    ),
    Requirement("v1.family.form", "2.1", "dictates", MUST, "Both addresses are of the family the protocol names"),
    Requirement("v1.port.range", "2.1", "", MUST, "A port is a number from 0 to 65535"),
    Requirement("v1.port.form", "2.1", "not permitted", MUST, "A port is decimal, without leading zeros"),
    Requirement("v1.line.crlf", "2.1", "must not", MUST, "CR LF ends the line, and neither of them alone"),
    Requirement("v1.line.length", "2.1", "must", MUST, "Lines of up to 107 bytes, CRLF included, are taken"),
    Requirement("v1.line.too-long", "2.1", "should", SHOULD, "107 bytes without CRLF are no line"),
    Requirement("v1.unknown.accept", "2.1", "SHOULD", SHOULD, "UNKNOWN is served with the connection's own addresses"),
    Requirement("v1.unknown.ignore", "2.1", "must", MUST, "What stands between UNKNOWN and CRLF is ignored"),
    Requirement("v1.unknown.senders", "2.1", "SHOULD", SHOULD, "Health checks carry a full line", untested=_SENDER),
)

_V2 = (
    Requirement("v2.support", "2", "MUST", MUST, "A receiver of version 2 takes the binary header"),
    Requirement("v2.signature", "2.2", "must not", MUST, "All twelve bytes of the signature count, the NUL among them"),
    Requirement("v2.version", "2.2", "must", MUST, "The high half of the 13th byte is 2, or the header is refused"),
    Requirement("v2.command", "2.2", "must", MUST, "Commands other than LOCAL and PROXY end the connection"),
    Requirement("v2.local.accept", "2.2", "must", MUST, "LOCAL is accepted with the connection's own addresses"),
    Requirement("v2.local.discard", "2.2", "must", MUST, "The block of LOCAL is discarded, its family ignored"),
    Requirement(
        "v2.unspec",
        "2.2",
        "free",
        EITHER,
        "PROXY with an unspecified family or transport is served as the peer, or refused",
    ),
    Requirement(
        "v2.family.undefined",
        "2.2",
        "must",
        MUST,
        "Undefined families and transports are refused",
        conflicts=("v2.local.discard",),
    ),
    Requirement(
        "v2.family.unsupported",
        "2.2",
        "not required",
        EITHER,
        "A defined family that is not supported is treated as unspecified, and skipped by its length",
        conflicts=("v2.unspec", "v2.length.address"),
    ),
    Requirement("v2.length.skip", "2.2", "MUST", MUST, "The header is 16 bytes and as many as its length says"),
    Requirement(
        "v2.length.address",
        "2.2",
        "",
        MUST,
        "A length too small for the family's addresses is no header",
        conditions=("the receiver implements the family; from outside that is seen of TCP alone",),
        conflicts=("v2.family.unsupported",),
    ),
    Requirement(
        "v2.length.any", "2.2", "", MAY, "The length field allows 65535 bytes; above 536 in all a refusal will do"
    ),
    Requirement("v2.byte-order", "2.2", "", MUST, "Length, addresses and ports are in network order"),
    Requirement("v2.address.layout", "2.2", "always", MUST, "Source address, destination address, then their ports"),
    Requirement("v2.header.size", "2", "", MUST, "A header of up to 536 bytes, the least segment, is taken"),
    Requirement(
        "v2.header.partial",
        "2.2",
        "must",
        EITHER,
        "A connection that ends within its header is refused; nothing of it is used before it is whole",
        conflicts=("gen.fragments",),
    ),
    Requirement("v2.local.senders", "2.2", "should", SHOULD, "LOCAL carries no addresses", untested=_SENDER),
)

_TLV = (
    Requirement("tlv.skip", "2.2", "may", MUST, "A TLV that is not understood is skipped by its length"),
    Requirement("tlv.layout", "2.2", "", MUST, "A TLV is one byte of type, two of length, and its value"),
    Requirement(
        "tlv.bounds",
        "2.2",
        "may",
        SECURITY,
        "No TLV reaches past the header, no sub-TLV past its parent; broken ones are refused, or all are skipped",
    ),
    Requirement("tlv.alpn", "2.2.1", "", MAY, "ALPN is any string of bytes"),
    Requirement("tlv.authority", "2.2.2", "", MAY, "AUTHORITY is a host name in UTF-8, of no stated length"),
    Requirement(
        "tlv.crc32c.verify",
        "2.2.3",
        "MUST",
        MUST,
        "The checksum is CRC32C, computed with its own field zero",
        conditions=("crc32c",),
    ),
    Requirement("tlv.crc32c.scope", "2.2.3", "MUST", MUST, "The checksum covers the whole header and no payload"),
    Requirement(
        "tlv.crc32c.abort",
        "2.2.3",
        "MUST",
        MUST,
        "A wrong checksum ends the connection",
        conditions=("crc32c",),
    ),
    Requirement("tlv.noop", "2.2.4", "should", MUST, "NOOP is skipped, whatever its length"),
    Requirement("tlv.unique-id", "2.2.5", "", MUST, "UNIQUE_ID of up to 128 bytes is taken"),
    Requirement("tlv.ssl.layout", "2.2.6", "", MUST, "SSL is five bytes and sub-TLVs that end with it"),
    Requirement("tlv.ssl.client", "2.2.6", "", IMPLIED, "Bits of the client field without a meaning are passed over"),
    Requirement(
        "tlv.ssl.sub-types", "2.2.6", "", MUST, "Sub-TLVs of the types 0x21 to 0x28 and unknown ones are tolerated"
    ),
    Requirement("tlv.netns", "2.2.7", "", MAY, "NETNS names a namespace"),
    Requirement("tlv.reserved", "2.2.8", "never", MUST, "Types set aside are skipped like any other"),
    Requirement(
        "tlv.ssl.meaning",
        "2.2.6",
        "",
        SECURITY,
        "A client counts as encrypted or authenticated only if the SSL bits and the verification say so",
        untested="what a target grants an authenticated client is its own policy, which no reply common to all shows",
    ),
)

_INVARIANTS = (
    Requirement(
        "inv.atomic-address",
        "2.1, 2.2",
        "must",
        MUST,
        "No address is used before the header is whole, none of a refused one",
    ),
    Requirement("inv.no-downgrade", "2", "", SECURITY, "A refused header never makes its sender a direct client"),
    Requirement("inv.header-not-payload", "2", "", SECURITY, "Bytes of a header never reach the session"),
    Requirement("inv.per-connection", "2", "MUST NOT", MUST, "What one connection says never shows in another"),
    Requirement("inv.quiet-crash", "2.1", "", SECURITY, "No header ends the process, nor keeps it busy"),
    Requirement("inv.bounded", "2.1, 2.2", "", SECURITY, "Connections without a header are bounded in time and memory"),
    Requirement("inv.visible", "2.2.2", "", SECURITY, "Control bytes of a header are never repeated as they are"),
    Requirement(
        "inv.reply-mode", "2.1", "", EITHER, "A refusal is silent, or a reply and then the end of the connection"
    ),
    Requirement(
        "inv.log-flood",
        "2.1",
        "",
        SECURITY,
        "A bad header is one line in a log, not a traceback",
        untested="the form of a target's log is its own; what is logged is not on the wire",
    ),
    Requirement(
        "inv.memory",
        "2.2",
        "",
        SECURITY,
        "A header that is awaited takes no more memory than it has bytes",
        untested="memory is not on the wire; a hundred starved headers at once are tested as inv.bounded",
    ),
)

_SMTP = (
    Requirement(
        "smtp.banner.after-header", "RFC 5321, 4.3.1", "", MUST, "The greeting comes behind the header, and first"
    ),
    Requirement(
        "smtp.banner.latency",
        "RFC 5321, 4.5.3.2.1",
        "",
        IMPLIED,
        "Reading the header delays the greeting no more than its bytes do",
        untested="a figure, not a verdict: `proxyspec load` measures it as header_to_banner",
    ),
    Requirement(
        "smtp.banner.deadlock",
        "2",
        "",
        EITHER,
        "A balancer that sends its header with the client's first bytes waits for a greeting that waits for it",
        untested=_SENDER,
    ),
    Requirement("smtp.code.no-220-on-fail", "2", "MUST NOT", SECURITY, "No 220 follows a header that is refused"),
    Requirement("smtp.timeout.421", "RFC 5321, 3.8", "SHOULD", SHOULD, "A reply at the deadline is 421"),
    Requirement(
        "smtp.timeout.silent-ok",
        "2",
        "may",
        MAY,
        "A silent end at the deadline conforms, too",
        untested="a permission: every case of the deadline accepts both",
    ),
    Requirement(
        "smtp.malformed.reply",
        "RFC 5321, 4.2.1",
        "",
        EITHER,
        "A malformed header is refused silently or with 421; a code of 5xx loses mail",
    ),
    Requirement(
        "smtp.refuse.untrusted",
        "RFC 5321, 3.1",
        "",
        SHOULD,
        "An unlisted peer that sends a header is refused for the time being",
        conditions=("an address the target does not trust",),
    ),
    Requirement(
        "smtp.refuse.after-header",
        "RFC 5321, 3.1",
        "",
        MUST,
        "Block lists and limits look at the proxied address",
        untested="a target's lists and limits are its own; no header common to all targets trips them",
    ),
    Requirement(
        "smtp.addr.received",
        "RFC 5321, 4.4",
        "MUST",
        MUST,
        "Received names the proxied client, an IPv6 address with its tag and in canonical form",
        conditions=("received",),
    ),
    Requirement("smtp.addr.log", "1, 2", "", MUST, "What the target writes of a session names the proxied client"),
    Requirement(
        "smtp.addr.no-leak", "2", "", SECURITY, "A session without a proxied address shows none but the peer's"
    ),
    Requirement(
        "smtp.addr.dst",
        "2",
        "",
        IMPLIED,
        "The local end of a session is the header's destination",
        untested="no reply of SMTP shows the local end a server believes in",
    ),
    Requirement("smtp.addr.local-cmd", "2.2", "must", MUST, "Behind LOCAL and UNKNOWN the peer itself is named"),
    Requirement(
        "smtp.addr.privilege", "5", "", SECURITY, "Rights follow the proxied address, and loopback gives no more"
    ),
    Requirement(
        "smtp.addr.rdns",
        "RFC 5321, 4.1.4",
        "",
        IMPLIED,
        "Reverse look-ups and policy use the proxied address",
        untested="needs a name server under the tester's control",
    ),
    Requirement(
        "smtp.xclient.precedence", "1", "", SECURITY, "XCLIENT is open to those who may use it, not to clients"
    ),
    Requirement(
        "smtp.early-talker.after-header",
        "RFC 2920, 3.1",
        "",
        EITHER,
        "Commands before the greeting are answered or refused; the header is none of them",
    ),
    Requirement(
        "smtp.early-talker.before-header", "2", "MUST", MUST, "Commands before the header are no service, ever"
    ),
    Requirement("smtp.header.not-a-command", "2", "", SECURITY, "PROXY in a session is refused and changes no address"),
    Requirement("smtp.header.not-counted", "2", "", IMPLIED, "The header counts as no command, no error and no line"),
    Requirement(
        "smtp.starttls.order",
        "2",
        "MUST",
        MUST,
        "The header is in clear before the greeting; behind STARTTLS its address stays",
        conditions=("starttls",),
    ),
    Requirement(
        "smtp.starttls.forget",
        "RFC 3207, 4.2",
        "MUST",
        MUST,
        "What the client said in clear, EHLO and a transaction, is forgotten behind STARTTLS",
        conditions=("starttls",),
    ),
    Requirement(
        "smtp.starttls.no-second-header",
        "2",
        "",
        SECURITY,
        "A header inside TLS changes no address",
        conditions=("starttls",),
    ),
    Requirement(
        "smtp.starttls.injection",
        "RFC 3207, 4",
        "MUST",
        SECURITY,
        "What came in clear behind STARTTLS is not carried out inside TLS",
        conditions=("starttls",),
    ),
    Requirement(
        "smtp.tls.header-outside",
        "RFC 8314, 3.3",
        "",
        MUST,
        "Where connections begin with TLS, the header comes in clear before it",
        conditions=("implicit-tls",),
    ),
    Requirement(
        "smtp.tls.header-inside",
        "RFC 8314, 3.3",
        "",
        EITHER,
        "A header inside TLS is obeyed only where the target is made for that",
        conditions=("implicit-tls",),
    ),
    Requirement("smtp.tls.info", "2.2.6", "", MAY, "What the SSL TLV says does not keep a session from running"),
    Requirement(
        "smtp.quit-in-signature",
        "6",
        "",
        MAY,
        "A server that knows no headers answers the signature with errors and 221",
        untested="a fact about servers that are not meant to be judged; such a target fails all cases of version 2",
    ),
    Requirement(
        "smtp.shutdown.421",
        "RFC 5321, 3.8",
        "MUST",
        MUST,
        "A target that stops ends connections that wait for their header, without a 220",
        untested="the target is not the suite's to stop",
    ),
    Requirement(
        "smtp.quit", "RFC 5321, 4.1.1.10", "MUST", MUST, "QUIT is answered, and the target ends the connection"
    ),
    Requirement("smtp.peer-reset", "2", "", SECURITY, "A peer that resets, as health checks do, disturbs nobody else"),
    Requirement("haproxy.relay", "2", "", MUST, "A client behind a real HAProxy is seen with its own address"),
    Requirement("haproxy.chain", "4.1", "", MUST, "A client behind two proxies is seen with its own address"),
    Requirement("haproxy.check", "2.2", "must", MUST, "HAProxy's health checks find the target up"),
)

#: Every requirement, in the order of the text.
REQUIREMENTS: tuple[Requirement, ...] = (*_GENERAL, *_TRUST, *_DETECT, *_V1, *_V2, *_TLV, *_INVARIANTS, *_SMTP)


def coverage(cases: Iterable[Case]) -> Mapping[str, tuple[str, ...]]:
    """Return the ids of the cases that test each requirement, in catalogue order, by requirement id."""
    found: dict[str, list[str]] = {requirement.id: [] for requirement in REQUIREMENTS}
    for case in cases:
        for name in case.requirements:
            found.setdefault(name, []).append(case.id)
    return {name: tuple(ids) for name, ids in found.items()}
