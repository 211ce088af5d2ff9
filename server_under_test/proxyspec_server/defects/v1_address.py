"""Version 1: addresses and their families (section 2.1)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from socket import inet_aton, inet_ntoa

from proxyspec_server.defects.seed import AS_PROXIED6, REFUSED, seeded, served
from proxyspec_server.proxy import HeaderFault, Rule, V1Reader


@seeded(
    "v1-ip4-leading-zero",
    origin="requirement v1.ip4.leading-zero",
    killed_by=("v1/ip4/leading-zero",),
    shows=b"PROXY TCP4 192.000.002.001 192.0.2.2 1111 25\r\n",
)
class Ip4LeadingZero(V1Reader):
    """Octets may have leading zeros, which are dropped."""

    def address4(self, text: bytes) -> str:
        return super().address4(b".".join(octet.lstrip(b"0") or b"0" for octet in text.split(b".")))


@seeded(
    "v1-ip4-inet-aton",
    origin="requirements v1.ip4.octal-ambiguous, v1.ip4.hex, v1.ip4.int32, v1.ip4.three-octets",
    killed_by=("v1/ip4/hex", "v1/ip4/three-octets", "v1/ip4/leading-zero"),
    shows=b"PROXY TCP4 0xc0.0.513 192.0.2.2 1111 25\r\n",
)
class Ip4InetAton(V1Reader):
    """Addresses are read with inet_aton, which takes octal, hexadecimal and short forms."""

    def address4(self, text: bytes) -> str:
        try:
            return inet_ntoa(inet_aton(text.decode("ascii")))
        except (OSError, ValueError):
            return super().address4(text)


@seeded(
    "v1-ip4-octet-wraps",
    origin="requirement v1.ip4.octet-256",
    killed_by=("v1/ip4/octet-256",),
    shows=b"PROXY TCP4 448.0.2.1 192.0.2.2 1111 25\r\n",
)
class Ip4OctetWraps(V1Reader):
    """Octets above 255 wrap."""

    def address4(self, text: bytes) -> str:
        octets = [b"%d" % (int(octet) & 0xFF) if octet.isdigit() else octet for octet in text.split(b".")]
        return super().address4(b".".join(octets) if len(text) < 20 else text)


@seeded(
    "v1-ip4-padded",
    origin="requirement v1.ip4.three-octets",
    killed_by=("v1/ip4/three-octets",),
    shows=b"PROXY TCP4 192.0.1 192.0.2.2 1111 25\r\n",
    defective=served("192.0.1.0"),
)
class Ip4Padded(V1Reader):
    """Missing octets are taken as 0."""

    def address4(self, text: bytes) -> str:
        return super().address4(text + b".0" * (3 - text.count(b".")))


@seeded(
    "v1-ip4-empty-octet",
    origin="requirements v1.ip4.empty-octet, v1.ip4.dots-only",
    killed_by=(
        "v1/ip4/dots-only",
        "v1/ip4/empty-first",
    ),
    shows=b"PROXY TCP4 192..2.1 192.0.2.2 1111 25\r\n",
)
class Ip4EmptyOctet(V1Reader):
    """An empty octet is taken as 0."""

    def address4(self, text: bytes) -> str:
        return super().address4(b".".join(octet or b"0" for octet in text.split(b".")))


@seeded(
    "v1-ip4-fifth-octet",
    origin="requirement v1.ip4.five-octets",
    killed_by=(
        "malformed/v1/repeated/part-of-the-source",
        "v1/ip4/fifth-empty",
    ),
    shows=b"PROXY TCP4 192.0.2.1.5 192.0.2.2 1111 25\r\n",
)
class Ip4FifthOctet(V1Reader):
    """What follows the fourth octet is ignored."""

    def address4(self, text: bytes) -> str:
        return super().address4(b".".join(text.split(b".")[:4]))


@seeded(
    "v1-ip4-unchecked",
    origin="requirement inv.atomic-address",
    killed_by=("v1/ip4/octet-256", "v1/ip4/hex"),
    shows=b"PROXY TCP4 relay.example 192.0.2.2 1111 25\r\n",
    defective=served("relay.example"),
)
class Ip4Unchecked(V1Reader):
    """Any word is taken for an address."""

    def address4(self, text: bytes) -> str:
        return text.decode("latin-1")


@seeded(
    "v1-tcp4-takes-ip6",
    origin="requirement v1.family.tcp4-with-ip6",
    killed_by=("v1/family/tcp4-with-ip6",),
    shows=b"PROXY TCP4 2001:db8::1 2001:db8::2 1111 25\r\n",
    defective=AS_PROXIED6,
)
class Tcp4TakesIp6(V1Reader):
    """TCP4 lines take IPv6 addresses."""

    def address4(self, text: bytes) -> str:
        return self.address6(text) if b":" in text else super().address4(text)


@seeded(
    "v1-tcp6-takes-ip4",
    origin="requirement v1.family.tcp6-with-ip4",
    killed_by=("v1/family/tcp6-with-ip4",),
    shows=b"PROXY TCP6 192.0.2.1 192.0.2.2 1111 25\r\n",
)
class Tcp6TakesIp4(V1Reader):
    """TCP6 lines take IPv4 addresses."""

    def address6(self, text: bytes) -> str:
        return super().address6(text) if b":" in text else self.address4(text)


@seeded(
    "v1-ip6-zone",
    origin="go-proxyproto commit 5914db8",
    killed_by=("v1/ip6/zone",),
    shows=b"PROXY TCP6 2001:db8::1%eth0 2001:db8::2 1111 25\r\n",
    defective=AS_PROXIED6,
)
class Ip6Zone(V1Reader):
    """A zone behind an address is cut off."""

    def address6(self, text: bytes) -> str:
        return super().address6(text.partition(b"%")[0])


@seeded(
    "v1-ip6-brackets",
    origin="requirement v1.ip6.bracket",
    killed_by=("v1/ip6/bracket",),
    shows=b"PROXY TCP6 [2001:db8::1] 2001:db8::2 1111 25\r\n",
    defective=AS_PROXIED6,
)
class Ip6Brackets(V1Reader):
    """Brackets round an address are taken off."""

    def address6(self, text: bytes) -> str:
        return super().address6(text.strip(b"[]"))


@seeded(
    "v1-ip6-by-characters",
    origin="requirements v1.ip6.two-double-colon, v1.ip6.nine-groups",
    killed_by=("v1/ip6/two-double-colons",),
    shows=b"PROXY TCP6 2001::db8::1 2001:db8::2 1111 25\r\n",
    defective=served("2001::db8::1"),
)
class Ip6ByCharacters(V1Reader):
    """Any string of hexadecimal digits and colons is an IPv6 address."""

    def address6(self, text: bytes) -> str:
        return text.decode("ascii") if not text.strip(b"0123456789abcdefABCDEF:") else super().address6(text)


@seeded(
    "v1-ip6-upper-refused",
    origin='requirement v1.ip6.upper ("upper or lower case")',
    killed_by=("v1/tcp6/upper",),
    shows=b"PROXY TCP6 2001:DB8::1 2001:DB8::2 1111 25\r\n",
    healthy=AS_PROXIED6,
    defective=REFUSED,
)
class Ip6UpperRefused(V1Reader):
    """Upper case digits in an address are refused."""

    def address6(self, text: bytes) -> str:
        if text != text.lower():
            raise HeaderFault(Rule.V1_ADDRESS, "an address has upper case digits")
        return super().address6(text)


@seeded(
    "v1-ip6-as-sent",
    origin="requirements v1.ip6.full (canonicalised), smtp.addr.received (canonical form)",
    killed_by=(
        "smtp/address/tcp6-canonical",
        "smtp/address/received-tcp6",
    ),
    shows=b"PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 2001:db8::2 1111 25\r\n",
    healthy=AS_PROXIED6,
    defective=served("2001:0db8:0000:0000:0000:0000:0000:0001"),
)
class Ip6AsSent(V1Reader):
    """Addresses are compared and shown as they were written, not in their canonical form."""

    def address6(self, text: bytes) -> str:
        super().address6(text)
        return text.decode("ascii")


@seeded(
    "v1-ip6-mapped-refused",
    origin="requirement v1.ip6.v4mapped",
    killed_by=("v1/tcp6/mapped",),
    shows=b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1111 25\r\n",
    healthy=served("::ffff:192.0.2.1"),
    defective=REFUSED,
)
class Ip6MappedRefused(V1Reader):
    """IPv4-mapped addresses, as HAProxy itself sends them, are refused."""

    def address6(self, text: bytes) -> str:
        if b"." in text:
            raise HeaderFault(Rule.V1_ADDRESS, "an address has a dotted quad")
        return super().address6(text)
