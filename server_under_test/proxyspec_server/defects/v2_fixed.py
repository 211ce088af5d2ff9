"""Version 2: the fixed part and the addresses (section 2.2)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from ipaddress import ip_address

from proxyspec_server.connection import Connection
from proxyspec_server.defects.seed import (
    A4,
    A6,
    AS_PEER,
    AS_PROXIED,
    AS_PROXIED6,
    PROCESS_GONE,
    REFUSED,
    panic,
    seeded,
    served,
    session,
    v2,
)
from proxyspec_server.probe import Look
from proxyspec_server.proxy import SIGNATURE, Command, Endpoint, Family, Header, HeaderFault, NeedMore, Rule, V2Reader

V2 = frozenset({"v2"})


@seeded(
    "v2-signature-strcmp",
    origin="requirement v2.sig.nul-replaced (memcmp, not strcmp)",
    killed_by=(
        "malformed/v2/signature/flipped-05",
        "malformed/v2/signature/flipped-06",
    ),
    shows=v2(opening=SIGNATURE[:5] + b"\r\nSTOP\n"),
)
class SignatureStrcmp(V2Reader):
    """The signature is compared as a C string: only up to its NUL."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        same = len(data) >= 12 and data[:5] == SIGNATURE[:5]
        return super().read(SIGNATURE + data[12:] if same else data, max_size)


@seeded(
    "v2-signature-before-nul",
    origin="requirement v2.sig.nul-replaced",
    killed_by=("v2/signature/nul-replaced",),
    shows=v2(opening=SIGNATURE.replace(b"\0", b" ")),
)
class SignatureNulSkipped(V2Reader):
    """The NUL of the signature is not compared."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        same = len(data) >= 12 and data[:4] + data[5:12] == SIGNATURE[:4] + SIGNATURE[5:]
        return super().read(SIGNATURE + data[12:] if same else data, max_size)


@seeded(
    "v2-signature-last-byte",
    origin="requirement v2.sig.byte11",
    killed_by=(
        "malformed/v2/signature/flipped-11",
        "v2/signature/byte-11",
    ),
    shows=v2(opening=SIGNATURE[:-1] + b"\x0b"),
)
class SignatureLastByte(V2Reader):
    """Eleven bytes of the signature are compared instead of twelve."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        same = len(data) >= 12 and data[:11] == SIGNATURE[:11]
        return super().read(SIGNATURE + data[12:] if same else data, max_size)


@seeded(
    "v2-version-ignored",
    origin="requirements v2.version.1, v2.version.3",
    killed_by=("v2/version/1", "v2/version/3"),
    shows=v2(command=0x31),
)
class VersionIgnored(V2Reader):
    """The version of a binary header is not looked at."""

    def undefined_command(self, version_command: int) -> Command:
        command = version_command & 0xF
        return Command(command) if command < 2 else super().undefined_command(version_command)


@seeded(
    "v2-command-ignored",
    origin="requirements v2.cmd.2, v2.cmd.15",
    killed_by=("v2/command/2",),
    shows=v2(command=0x22),
)
class CommandIgnored(V2Reader):
    """Every command but LOCAL is taken for PROXY."""

    def undefined_command(self, version_command: int) -> Command:
        return Command.PROXY if version_command >> 4 == 2 else super().undefined_command(version_command)


@seeded(
    "v2-command-as-local",
    origin="requirement v2.cmd.2",
    killed_by=("v2/command/2",),
    shows=v2(command=0x22),
    defective=AS_PEER,
)
class CommandAsLocal(V2Reader):
    """Every command but PROXY is taken for LOCAL."""

    def undefined_command(self, version_command: int) -> Command:
        return Command.LOCAL if version_command >> 4 == 2 else super().undefined_command(version_command)


@seeded(
    "v2-family-ignored",
    origin="requirements v2.proxy.fam-41, v2.proxy.fam-f1",
    killed_by=("v2/family/41",),
    shows=v2(family=0x41),
)
class FamilyIgnored(V2Reader):
    """An undefined address family is taken for IPv4."""

    def undefined_family(self, command: Command, family_byte: int) -> Family:
        return Family.TCP4 if family_byte & 0xF == 1 else super().undefined_family(command, family_byte)


@seeded(
    "v2-transport-ignored",
    origin="requirements v2.proxy.fam-13, v2.proxy.fam-23",
    killed_by=("v2/family/13",),
    shows=v2(family=0x13),
)
class TransportIgnored(V2Reader):
    """An undefined transport is taken for TCP."""

    def undefined_family(self, command: Command, family_byte: int) -> Family:
        return (
            Family(family_byte & 0xF0 | 1) if family_byte >> 4 < 4 else super().undefined_family(command, family_byte)
        )


@seeded(
    "v2-undefined-family-served",
    origin='requirement v2.proxy.fam-13 ("must be rejected")',
    killed_by=("v2/family/13", "v2/family/41"),
    shows=v2(family=0xFF),
    defective=AS_PEER,
)
class UndefinedFamilyServed(V2Reader):
    """An undefined family or transport is treated as UNSPEC."""

    def undefined_family(self, command: Command, family_byte: int) -> Family:
        return Family.UNSPEC


@seeded(
    "v2-undefined-transport-panics",
    origin="go-proxyproto commit 5914db8 (panic on family 0x13)",
    killed_by=("aftermath/malformed/v2-transport",),
    shows=v2(family=0x13),
    defective=PROCESS_GONE,
)
class UndefinedTransportPanics(V2Reader):
    """An undefined transport leaves no address, and the first use of it ends the process."""

    def undefined_family(self, command: Command, family_byte: int) -> Family:
        if family_byte & 0xF > 2:
            panic()
        return super().undefined_family(command, family_byte)


@seeded(
    "v2-unspec-block-used",
    origin="requirement v2.proxy.unspec-len12 (never address from the block)",
    killed_by=("v2/proxy/unspec-12",),
    shows=v2(family=0x00),
    healthy=AS_PEER,
)
class UnspecBlockUsed(V2Reader):
    """Twelve bytes behind UNSPEC are taken for IPv4 addresses."""

    def not_tcp(self, family: Family, header: bytes) -> Header:
        return (
            self.tcp4(family, header)
            if family is Family.UNSPEC and len(header) >= 28
            else super().not_tcp(family, header)
        )


@seeded(
    "v2-half-unspec-as-tcp",
    origin="requirement v2.proxy.fam-10 (must never be used as TCP)",
    killed_by=(
        "v2/proxy/inet-unspec",
        "malformed/v2/family/flipped-0",
    ),
    shows=v2(family=0x10),
    healthy=AS_PEER,
)
class HalfUnspecAsTcp(V2Reader):
    """IPv4 with an unspecified transport is taken for TCP over IPv4."""

    def not_tcp(self, family: Family, header: bytes) -> Header:
        if family is Family.INET_UNSPEC and len(header) >= 28:
            return self.tcp4(family, header)
        return super().not_tcp(family, header)


@seeded(
    "v2-tcp6-refused",
    origin="Envoy CVE-2024-23325",
    killed_by=("v2/tcp6/ok",),
    shows=v2(A6, family=0x21),
    healthy=AS_PROXIED6,
    defective=REFUSED,
)
class Tcp6Refused(V2Reader):
    """TCP over IPv6 is refused on a machine without IPv6."""

    def tcp6(self, family: Family, header: bytes) -> Header:
        raise HeaderFault(Rule.V2_FAMILY, "the address family is not supported")


@seeded(
    "v2-unspec-panics",
    origin="Envoy CVE-2024-23327 (GHSA-4h5x-x9vh-m29j)",
    killed_by=("v2/proxy/unspec",),
    shows=v2(b"", family=0x00),
    healthy=AS_PEER,
    defective=PROCESS_GONE,
)
class UnspecPanics(V2Reader):
    """UNSPEC leaves no address, and the first use of it ends the process."""

    def not_tcp(self, family: Family, header: bytes) -> Header:
        panic()


@seeded(
    "v2-swapped",
    origin="requirement v2.addr.order",
    killed_by=("v2/address/order", "v2/tcp4/ok"),
    shows=v2(),
    healthy=AS_PROXIED,
    defective=served("192.0.2.2"),
    spoils=V2,
)
class Swapped(V2Reader):
    """The destination is taken for the source."""

    def tcp4(self, family: Family, header: bytes) -> Header:
        read = super().tcp4(family, header)
        return read._replace(source=read.destination, destination=read.source)


@seeded(
    "v2-host-order-ports",
    origin="requirement v2.addr.order (network order)",
    unseen="no reply and no Received field of a mail server tells a port",
    shows=session(v2(), Look.HEADER),
    healthy="192.0.2.1:1111 > 192.0.2.2:25",
    defective="192.0.2.1:22276 > 192.0.2.2:6400",
)
class HostOrderPorts(V2Reader):
    """Ports are read in the byte order of the machine."""

    def tcp4(self, family: Family, header: bytes) -> Header:
        read = super().tcp4(family, header)
        return read._replace(source=swapped(read.source), destination=swapped(read.destination))


def swapped(endpoint: Endpoint | None) -> Endpoint | None:
    """The same with the two bytes of its port in the other order."""
    if endpoint is None:
        return None
    return Endpoint(endpoint.host, int.from_bytes(endpoint.port.to_bytes(2, "big"), "little"))


@seeded(
    "v2-tcp6-destination-port",
    origin="HAProxy before 2.2-dev2, commit bd8bf6710 (wrong IPv6 destination port)",
    unseen="no reply and no Received field of a mail server tells a port",
    shows=session(v2(A6, family=0x21), Look.HEADER),
    healthy="[2001:db8::1]:1111 > [2001:db8::2]:25",
    defective="[2001:db8::1]:1111 > [2001:db8::2]:1111",
)
class Tcp6DestinationPort(V2Reader):
    """The destination port over IPv6 is read where the source port stands."""

    def tcp6(self, family: Family, header: bytes) -> Header:
        read = super().tcp6(family, header)
        if read.source is None or read.destination is None:
            return read
        return read._replace(destination=Endpoint(read.destination.host, read.source.port))


@seeded(
    "v2-host-order-addresses",
    origin="requirement v2.addr.order (network order)",
    killed_by=("v2/address/order",),
    shows=v2(A4),
    healthy=AS_PROXIED,
    defective=served("1.2.0.192"),
    spoils=V2,
)
class HostOrderAddresses(V2Reader):
    """IPv4 addresses are read in the byte order of the machine."""

    def tcp4(self, family: Family, header: bytes) -> Header:
        read = super().tcp4(family, header)
        return read._replace(source=reversed_octets(read.source), destination=reversed_octets(read.destination))


def reversed_octets(endpoint: Endpoint | None) -> Endpoint | None:
    """The same with the octets of its address in the other order."""
    return None if endpoint is None else Endpoint(".".join(reversed(endpoint.host.split("."))), endpoint.port)


@seeded(
    "v2-refused",
    origin="Stalwart #689 (version 2 header answered as commands)",
    killed_by=("v2/tcp4/ok", "v2/local/empty"),
    shows=v2(),
    healthy=AS_PROXIED,
    defective=REFUSED,
    spoils=V2,
)
class Refused(V2Reader):
    """Version 2 is announced and not spoken."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        raise HeaderFault(Rule.PREFIX, "no version 2 here")


@seeded(
    "v2-family-from-length",
    origin="requirement v2.proxy.unspec-len12 (never the address from the block)",
    killed_by=("v2/proxy/unspec-36", "v2/proxy/unspec-stream", "v2/proxy/inet6-unspec"),
    shows=v2(A6, family=0x00),
    healthy=AS_PEER,
    defective=AS_PROXIED6,
)
class FamilyFromLength(V2Reader):
    """A family that names no TCP is guessed from the length of the block."""

    def not_tcp(self, family: Family, header: bytes) -> Header:
        if len(header) == 28:
            return self.tcp4(Family.TCP4, header)
        return self.tcp6(Family.TCP6, header) if len(header) == 52 else super().not_tcp(family, header)


@seeded(
    "v2-local-undefined-family-as-nobody",
    origin="requirement v2.local.bad-family (served as the peer, or refused)",
    killed_by=("v2/local/family-f3", "v2/local/family-13", "v2/local/family-40", "v2/local/family-03"),
    shows=v2(b"", command=0x20, family=0xF3),
    healthy=AS_PEER,
    defective=served("0.0.0.0"),  # noqa: S104 - an address to be shown
)
class LocalUndefinedFamilyAsNobody(V2Reader):
    """LOCAL with an undefined family leaves an address of zeros, which is believed."""

    def local(self, family: Family, header: bytes) -> Header:
        read = super().local(family, header)
        if header[13] in [known.value for known in Family]:
            return read
        return read._replace(source=Endpoint("0.0.0.0", 0))  # noqa: S104 - an address to be shown, not to listen on


@seeded(
    "v2-unspec-as-nobody",
    origin="requirement v2.proxy.unspec-len0 (served as the peer, or refused)",
    killed_by=("v2/proxy/unspec", "v2/proxy/unspec-12"),
    shows=v2(b"", family=0x00),
    healthy=AS_PEER,
    defective=served("::"),
)
class UnspecAsNobody(V2Reader):
    """PROXY with UNSPEC leaves an address of zeros, which is believed."""

    def not_tcp(self, family: Family, header: bytes) -> Header:
        read = super().not_tcp(family, header)
        return read._replace(source=Endpoint("::", 0)) if family is Family.UNSPEC else read


@seeded(
    "v2-unusual-address-as-peer",
    origin="requirement v2.addr.any-or-multicast (never the rights of the proxy)",
    killed_by=("v2/address/loopback", "v2/address/multicast", "v2/address/broadcast", "v2/address/any"),
    shows=v2(bytes.fromhex("e0000001 c0000202 0457 0019")),
    healthy=served("224.0.0.1"),
    defective=AS_PEER,
)
class UnusualAddressAsPeer(Connection):
    """An address that no client can have counts as none: the proxy itself is the client then."""

    def believed_client(self, header: Header) -> Endpoint:
        client = super().believed_client(header)
        address = ip_address(client.host)
        unusual = address.is_loopback or address.is_multicast or address.is_unspecified
        return self.peer if unusual or client.host == "255.255.255.255" else client
