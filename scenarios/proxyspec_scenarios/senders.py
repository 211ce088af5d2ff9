"""Every way HAProxy can be told to send a header, with the header it must then send (sections 2.1 and 2.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxyspec.layers.authoring import local, tlv, unknown, v1, v2
from proxyspec.layers.tlv import SSLClient, SSLType, TLVType
from proxyspec.sender.client import Caller, Tls
from proxyspec.sender.expectation import At, Concession, Expectation, Fact, Place, Role, SslWanted, TlvWanted
from proxyspec.sender.rules import CHECK_LOCAL, CLIENT_PROXY, SSL_VERIFY, UNASKED
from proxyspec.sender.setting import Checking, FrontKind, Setting, settings_of

__all__ = ["SENDER_SETTINGS"]

# Clients

#: An address that HAProxy itself never connects from.
_CLIENT: Final = Caller("127.0.0.7")
_NAME: Final = "mx.example.test"
_TLS: Final = replace(_CLIENT, tls=Tls())
_TLS_NAMED: Final = replace(_CLIENT, tls=Tls(server_name=_NAME))
_TLS_ALPN: Final = replace(_CLIENT, tls=Tls(alpn=("smtp",)))
_TLS_CERTIFIED: Final = replace(_CLIENT, tls=Tls(certificate=True))
_TLS_ALL: Final = replace(_CLIENT, tls=Tls(alpn=("smtp",), server_name=_NAME, certificate=True))
_CERTIFIED_IF: Final = "verify optional"

# What a sender should say

_V1: Final = Expectation(version=1)
_V2: Final = Expectation(version=2)
_V1_NOWHERE: Final = Expectation(version=1, src=Place.NOWHERE, dst=Place.NOWHERE)
_UNIX_IS_LOCAL: Final = Concession(CLIENT_PROXY, "HAProxy has no address to tell of a UNIX client and calls it LOCAL")
_V2_NOWHERE: Final = Expectation(version=2, src=Place.NOWHERE, dst=Place.NOWHERE, concessions=(_UNIX_IS_LOCAL,))
_V1_CHECK: Final = Expectation(version=1, role=Role.CHECK, src=Place.PEER, dst=Place.HERE)
_V2_CHECK: Final = Expectation(version=2, role=Role.CHECK, src=Place.PEER, dst=Place.HERE)

_NO_CERTIFICATE: Final = Concession(SSL_VERIFY, "HAProxy writes 0 for want of a certificate too")
_CRC: Final = TlvWanted(TLVType.CRC32C)
_SNI: Final = TlvWanted(TLVType.AUTHORITY, Fact.SNI)
_ALPN: Final = TlvWanted(TLVType.ALPN, Fact.ALPN)
_UNIQUE: Final = TlvWanted(TLVType.UNIQUE_ID, Fact.ENDPOINT)

_VERSION: Final = TlvWanted(SSLType.VERSION, Fact.TLS_VERSION)
_CN: Final = TlvWanted(SSLType.CN, Fact.COMMON_NAME)
_CIPHER: Final = TlvWanted(SSLType.CIPHER, Fact.CIPHER)
_SIG: Final = TlvWanted(SSLType.SIG_ALG, Fact.SIG_ALG)
_KEY: Final = TlvWanted(SSLType.KEY_ALG, Fact.KEY_ALG)
_CERTIFIED: Final = SSLClient.SSL | SSLClient.CERT_CONN | SSLClient.CERT_SESS

#: The ends that `v1()` and `v2()` write unless told otherwise.
_FOUR: Final = (At("192.0.2.1", 1111), At("192.0.2.2", 25))
_SIX: Final = (At("2001:db8::1", 1111), At("2001:db8::2", 25))

_UNIQUE_ID: Final = ("unique-id-format %ci:%cp",)
_IP6: Final = "tcp-request connection set-src ipv6(2001:db8::7)"
_IP4: Final = "tcp-request connection set-src ipv4(192.0.2.7)"


def _with(*tlvs: TlvWanted, of: Expectation = _V2) -> Expectation:
    return replace(of, tlvs=tlvs)


def _inbound(of: Expectation, ends: tuple[At, At]) -> Expectation:
    """The same with the ends that a header which came in tells."""
    return replace(of, src=ends[0], dst=ends[1])


def _plain() -> Expectation:
    """A session without TLS, of which the SSL TLV says so."""
    return replace(_V2, ssl=SslWanted(SSLClient(0)), concessions=(_NO_CERTIFICATE,))


def _encrypted(*tlvs: TlvWanted, beside: tuple[TlvWanted, ...] = ()) -> Expectation:
    """A session over TLS whose client presented no certificate."""
    ssl = SslWanted(SSLClient.SSL, (_VERSION, *tlvs))
    return replace(_V2, ssl=ssl, tlvs=beside, concessions=(_NO_CERTIFICATE,))


def _certified(*tlvs: TlvWanted, beside: tuple[TlvWanted, ...] = ()) -> Expectation:
    """A session over TLS whose client presented a certificate, which was verified."""
    return replace(_V2, ssl=SslWanted(_CERTIFIED, (_VERSION, *tlvs)), tlvs=beside)


def _addresses(group: str, server: str, of: Expectation, nowhere: Expectation) -> tuple[Setting, ...]:
    """The settings that differ in where the client stands."""
    return (
        Setting(id=f"{group}/ipv4", title="The ends of an IPv4 connection", server=server, expects=of, caller=_CLIENT),
        Setting(
            id=f"{group}/ipv6",
            title="The ends of an IPv6 connection",
            server=server,
            expects=of,
            front=FrontKind.IPV6,
        ),
        Setting(
            id=f"{group}/mixed/src-ipv6",
            title="An IPv6 source and an IPv4 destination, which becomes an IPv4-mapped one",
            server=server,
            listen=(_IP6,),
            expects=replace(of, src=At("2001:db8::7", Place.CLIENT)),
            caller=_CLIENT,
        ),
        Setting(
            id=f"{group}/mixed/src-ipv4",
            title="An IPv4 source, which becomes an IPv4-mapped one, and an IPv6 destination",
            server=server,
            listen=(_IP4,),
            expects=replace(of, src=At("192.0.2.7", Place.CLIENT)),
            front=FrontKind.IPV6,
        ),
        Setting(
            id=f"{group}/unix",
            title="No address of a client on a UNIX socket",
            server=server,
            expects=nowhere,
            front=FrontKind.UNIX,
        ),
        Setting(
            id=f"{group}/tls",
            title="The ends of a TLS connection, in clear text in front of the session",
            server=server,
            expects=of,
            caller=_TLS,
        ),
    )


def _chained(group: str, server: str, of: Expectation) -> tuple[Setting, ...]:
    """The settings that differ in the header the client itself brings."""

    def chain(name: str, title: str, header: bytes, expects: Expectation) -> Setting:
        return Setting(
            id=f"{group}/chain/{name}",
            title=title,
            server=server,
            bind="accept-proxy",
            expects=expects,
            caller=replace(_CLIENT, header=header),
        )

    return (
        chain("v1", "The addresses of the header that came in, version 1", v1(), _inbound(of, _FOUR)),
        chain("v2", "The addresses of the header that came in, version 2", v2(), _inbound(of, _FOUR)),
        chain("v1-ipv6", "IPv6 addresses that came in", v1("2001:db8::1"), _inbound(of, _SIX)),
        chain("v2-ipv6", "IPv6 addresses that came in", v2("2001:db8::1"), _inbound(of, _SIX)),
        chain("unknown", "The proxy in front itself, which said UNKNOWN", unknown(), of),
        chain("local", "The proxy in front itself, which said LOCAL", local(), of),
    )


_TLVS: Final = (
    Setting(
        id="v2/alpn",
        title="The protocol that was negotiated, without any option",
        server="send-proxy-v2",
        bind="alpn smtp",
        caller=_TLS_ALPN,
        expects=_with(_ALPN),
    ),
    Setting(
        id="v2/authority/sni",
        title="The host name the client asked for",
        server="send-proxy-v2 proxy-v2-options authority",
        caller=_TLS_NAMED,
        expects=_with(_SNI),
    ),
    Setting(
        id="v2/authority/no-sni",
        title="No host name of a client that asked for none",
        server="send-proxy-v2 proxy-v2-options authority",
        caller=_TLS,
        expects=_V2,
    ),
    Setting(
        id="v2/authority/inbound",
        title="The host name of the header that came in",
        server="send-proxy-v2 proxy-v2-options authority",
        bind="accept-proxy",
        caller=replace(_CLIENT, header=v2(tlvs=[tlv(TLVType.AUTHORITY, "inbound.example.test")])),
        expects=_inbound(_with(TlvWanted(TLVType.AUTHORITY, b"inbound.example.test")), _FOUR),
    ),
    Setting(
        id="v2/crc32c/ipv4",
        title="A checksum of the whole header",
        server="send-proxy-v2 proxy-v2-options crc32c",
        caller=_CLIENT,
        expects=_with(_CRC),
    ),
    Setting(
        id="v2/crc32c/ipv6",
        title="A checksum of a header with IPv6 addresses",
        server="send-proxy-v2 proxy-v2-options crc32c",
        front=FrontKind.IPV6,
        expects=_with(_CRC),
    ),
    Setting(
        id="v2/crc32c/unix",
        title="A checksum of a header without addresses",
        server="send-proxy-v2 proxy-v2-options crc32c",
        front=FrontKind.UNIX,
        expects=_with(_CRC, of=_V2_NOWHERE),
    ),
    Setting(
        id="v2/unique-id/ipv4",
        title="The identifier of the connection",
        server="send-proxy-v2 proxy-v2-options unique-id",
        listen=_UNIQUE_ID,
        caller=_CLIENT,
        expects=_with(_UNIQUE),
    ),
    Setting(
        id="v2/unique-id/unix",
        title="The identifier of a connection without addresses",
        server="send-proxy-v2 proxy-v2-options unique-id",
        listen=("unique-id-format sent-by-proxyspec",),
        front=FrontKind.UNIX,
        expects=_with(TlvWanted(TLVType.UNIQUE_ID, b"sent-by-proxyspec"), of=_V2_NOWHERE),
    ),
    Setting(
        id="v2/unique-id/no-format",
        title="An empty identifier where no format makes one",
        server="send-proxy-v2 proxy-v2-options unique-id",
        caller=_CLIENT,
        expects=_with(TlvWanted(TLVType.UNIQUE_ID, b"")),
    ),
    Setting(
        id="v2/tlv-fmt/literal",
        title="A TLV of a type set aside for applications, with a literal value",
        server="send-proxy-v2 set-proxy-v2-tlv-fmt(0xE0) hello",
        caller=_CLIENT,
        expects=_with(TlvWanted(0xE0, b"hello")),
        since=(2, 9),
    ),
    Setting(
        id="v2/tlv-fmt/inbound",
        title="A TLV of the header that came in, passed on under its type",
        server="send-proxy-v2 set-proxy-v2-tlv-fmt(0xEA) %[fc_pp_tlv(0xEA)]",
        bind="accept-proxy",
        caller=replace(_CLIENT, header=v2(tlvs=[tlv(0xEA, "vpce-1")])),
        expects=_inbound(_with(TlvWanted(0xEA, b"vpce-1")), _FOUR),
        since=(2, 9),
    ),
    Setting(
        id="v2/tlv-fmt/sample",
        title="A TLV whose value is made for each connection",
        server="send-proxy-v2 set-proxy-v2-tlv-fmt(0xE1) %[src]:%[src_port]",
        caller=_CLIENT,
        expects=_with(TlvWanted(0xE1, Fact.ENDPOINT)),
        since=(2, 9),
    ),
)

_SSL: Final = (
    Setting(
        id="v2-ssl/plain",
        title="A client without TLS, told to have come without",
        server="send-proxy-v2-ssl",
        caller=_CLIENT,
        expects=_plain(),
    ),
    Setting(
        id="v2-ssl/tls",
        title="The TLS version of a client without a certificate",
        server="send-proxy-v2-ssl",
        bind=_CERTIFIED_IF,
        caller=_TLS,
        expects=_encrypted(),
    ),
    Setting(
        id="v2-ssl/certificate",
        title="A client's certificate that was verified",
        server="send-proxy-v2-ssl",
        bind=_CERTIFIED_IF,
        caller=_TLS_CERTIFIED,
        expects=_certified(),
    ),
    Setting(
        id="v2-ssl-cn/tls",
        title="No name where there is no certificate",
        server="send-proxy-v2-ssl-cn",
        bind=_CERTIFIED_IF,
        caller=_TLS,
        expects=_encrypted(),
    ),
    Setting(
        id="v2-ssl-cn/certificate",
        title="The name in the client's certificate",
        server="send-proxy-v2-ssl-cn",
        bind=_CERTIFIED_IF,
        caller=_TLS_CERTIFIED,
        expects=_certified(_CN),
    ),
    Setting(
        id="v2/options/ssl",
        title="The same as send-proxy-v2-ssl",
        server="send-proxy-v2 proxy-v2-options ssl",
        bind=_CERTIFIED_IF,
        caller=_TLS_CERTIFIED,
        expects=_certified(),
    ),
    Setting(
        id="v2/options/cert-cn",
        title="The same as send-proxy-v2-ssl-cn",
        server="send-proxy-v2 proxy-v2-options cert-cn",
        bind=_CERTIFIED_IF,
        caller=_TLS_CERTIFIED,
        expects=_certified(_CN),
    ),
    Setting(
        id="v2/options/ssl-cipher",
        title="The cipher that was negotiated",
        server="send-proxy-v2 proxy-v2-options ssl-cipher",
        bind=_CERTIFIED_IF,
        caller=_TLS,
        expects=_encrypted(_CIPHER),
    ),
    Setting(
        id="v2/options/cert-sig",
        title="The algorithm that signed the proxy's certificate",
        server="send-proxy-v2 proxy-v2-options cert-sig",
        bind=_CERTIFIED_IF,
        caller=_TLS,
        expects=_encrypted(_SIG),
    ),
    Setting(
        id="v2/options/cert-key",
        title="The kind of the key in the proxy's certificate",
        server="send-proxy-v2 proxy-v2-options cert-key",
        bind=_CERTIFIED_IF,
        caller=_TLS,
        expects=_encrypted(_KEY),
    ),
    Setting(
        id="v2/options/all",
        title="Everything at once, and the checksum of it",
        server="send-proxy-v2-ssl-cn "
        "proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id",
        bind=f"alpn smtp {_CERTIFIED_IF}",
        listen=_UNIQUE_ID,
        caller=_TLS_ALL,
        expects=_certified(_CN, _KEY, _SIG, _CIPHER, beside=(_CRC, _ALPN, _SNI, _UNIQUE)),
    ),
)

_COMBINED: Final = (
    Setting(
        id="both/v1-and-v2",
        title="Of two directives version 2 wins",
        server="send-proxy send-proxy-v2",
        caller=_CLIENT,
        expects=_V2,
    ),
    Setting(
        id="both/v2-and-v1",
        title="Of two directives version 2 wins, in whatever order",
        server="send-proxy-v2 send-proxy",
        caller=_CLIENT,
        expects=_V2,
    ),
    Setting(
        id="none/options-only",
        title="Options of a header that is not asked for: no header",
        server="proxy-v2-options crc32c",
        caller=_CLIENT,
        expects=Expectation(version=0),
        before=(
            (
                (3, 2),
                Expectation(
                    version=0,
                    concessions=(Concession(UNASKED, "options alone made it send version 1, haproxy issue 2882"),),
                ),
            ),
        ),
    ),
)

_CHECK: Final = "check inter 200ms"


def _check(
    id: str,
    title: str,
    server: str,
    expects: Expectation,
    kind: Checking = Checking.CONNECT,
    *,
    never: bool = False,
    since: tuple[int, int] | None = None,
) -> Setting:
    return Setting(
        id=f"check/{id}",
        title=title,
        server=server,
        expects=expects,
        check=kind,
        never_send_local=never,
        since=since,
    )


_CHECKS: Final = (
    _check("v1/l4", "A check tells its own ends", f"send-proxy {_CHECK}", _V1_CHECK),
    _check("v1/smtpchk", "A check tells its own ends", f"send-proxy {_CHECK}", _V1_CHECK, Checking.SMTP),
    _check(
        "v1/check-send-proxy",
        "A check has a header of version 1 although sessions have none",
        f"check-send-proxy {_CHECK}",
        _V1_CHECK,
        Checking.SMTP,
    ),
    _check("v2/l4", "A check is LOCAL", f"send-proxy-v2 {_CHECK}", _V2_CHECK),
    _check("v2/smtpchk", "A check is LOCAL", f"send-proxy-v2 {_CHECK}", _V2_CHECK, Checking.SMTP),
    _check(
        "v2/port",
        "A check with a port of its own has the header where check-send-proxy asks for it",
        f"send-proxy-v2 check-send-proxy {_CHECK} port {{port}}",
        _V2_CHECK,
        Checking.SMTP,
    ),
    _check(
        "v2/crc32c",
        "A check has the checksum of its header",
        f"send-proxy-v2 proxy-v2-options crc32c {_CHECK}",
        _with(_CRC, of=_V2_CHECK),
        Checking.SMTP,
    ),
    _check(
        "v2/ssl",
        "A check did not come over TLS, and says so",
        f"send-proxy-v2-ssl {_CHECK}",
        replace(_V2_CHECK, ssl=SslWanted(SSLClient(0)), concessions=(_NO_CERTIFICATE,)),
        Checking.SMTP,
    ),
    _check(
        "v2/unique-id",
        "A check has no identifier, for there is no session to have one",
        f"send-proxy-v2 proxy-v2-options unique-id {_CHECK}",
        _V2_CHECK,
        Checking.SMTP,
    ),
    _check(
        "v2/tlv-fmt",
        "A check has the TLVs that have a format",
        f"send-proxy-v2 set-proxy-v2-tlv-fmt(0xE0) hello {_CHECK}",
        _with(TlvWanted(0xE0, b"hello"), of=_V2_CHECK),
        Checking.SMTP,
        since=(2, 9),
    ),
    _check(
        "v2/never-send-local",
        "A check as a connection between its own ends, by a setting for receivers that know no LOCAL",
        f"send-proxy-v2 {_CHECK}",
        replace(_V2_CHECK, concessions=(Concession(CHECK_LOCAL, "pp2-never-send-local asks for it"),)),
        Checking.SMTP,
        never=True,
    ),
)

#: The sender table, row by row.
SENDER_SETTINGS: Final = settings_of(
    _addresses("v1", "send-proxy", _V1, _V1_NOWHERE),
    _chained("v1", "send-proxy", _V1),
    _addresses("v2", "send-proxy-v2", _V2, _V2_NOWHERE),
    _chained("v2", "send-proxy-v2", _V2),
    _TLVS,
    _SSL,
    _COMBINED,
    _CHECKS,
)
