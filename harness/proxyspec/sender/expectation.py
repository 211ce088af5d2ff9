"""What the header of a connection should say, as data: whose addresses, which TLVs, and what is known to differ."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from proxyspec.layers.tlv import SSL_TYPE_NAMES, TYPE_NAMES, SSLClient
from proxyspec.model import View
from proxyspec.sender.rules import Rule

__all__ = [
    "Among",
    "At",
    "Concession",
    "Expectation",
    "Fact",
    "Facts",
    "Place",
    "Role",
    "SslWanted",
    "TlvWanted",
    "Whose",
]


class Role(enum.Enum):
    """Who is at the other end of what the proxy does."""

    #: A client's session is relayed.
    CLIENT = "client"
    #: The proxy itself looks whether the server lives.
    CHECK = "check"
    #: Nobody told us.
    UNTOLD = "untold"


class Place(enum.Enum):
    """An end of a connection that is known only once it is there."""

    #: Our client's end of its connection to the proxy.
    CLIENT = "the client"
    #: The proxy's end of that connection.
    FRONT = "what it called"
    #: The proxy's end of its connection to us.
    PEER = "the proxy"
    #: Our end of that connection.
    HERE = "the server"
    #: No address can be told: UNKNOWN or UNSPEC.
    NOWHERE = "nowhere"
    #: Not judged.
    ANY = "any"


@dataclass(frozen=True, slots=True)
class At:
    """A literal address; the port is that of a place, a literal one, or (None) not judged."""

    address: str
    port: int | Place | None = None


@dataclass(frozen=True, slots=True)
class Among:
    """Any address of these networks."""

    networks: tuple[IPv4Network | IPv6Network, ...]


Whose = Place | At | Among


class Fact(enum.Enum):
    """What a client really used, for the value of a TLV."""

    ALPN = "the ALPN it negotiated"
    SNI = "the host name it asked for"
    ENDPOINT = "its ADDRESS:PORT"
    TLS_VERSION = "its TLS version"
    CIPHER = "its cipher"
    COMMON_NAME = "the name in its certificate"
    KEY_ALG = "the key of the proxy's certificate"
    SIG_ALG = "the signature of the proxy's certificate"


Value = bytes | Fact | None


@dataclass(frozen=True, slots=True)
class TlvWanted:
    """A TLV or sub-TLV that must be there; a value of None is not judged."""

    type: int
    value: Value = None

    def named(self, names: Mapping[int, str]) -> str:
        """Say it in words."""
        name = names.get(self.type, f"0x{self.type:02x}")
        if self.value is None:
            return name
        said = self.value.value if isinstance(self.value, Fact) else repr(self.value.decode("latin-1"))
        return f"{name} ({said})"


@dataclass(frozen=True, slots=True)
class SslWanted:
    """What the SSL TLV must say (section 2.2.6); exactly these bits and sub-TLVs."""

    client: SSLClient
    tlvs: tuple[TlvWanted, ...] = ()

    def __str__(self) -> str:
        """Say it in words."""
        bits = "|".join(flag.name or "" for flag in SSLClient if self.client & flag) or "no TLS"
        return " ".join([f"SSL ({bits}", *(tlv.named(SSL_TYPE_NAMES) for tlv in self.tlvs)]) + ")"


@dataclass(frozen=True, slots=True)
class Concession:
    """A rule that is known to be broken there: a warning in place of a failure."""

    rule: Rule
    #: Why, with the issue or place where it is discussed.
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """The header that a setting promises.

    `version` is 1, 2, None (either) or 0 (no header is asked for). `src` and `dst` are those of a header that names
    any; a LOCAL one does not. `exact`: TLVs that are not named must not be there.
    """

    version: int | None
    role: Role = Role.CLIENT
    src: Whose = Place.CLIENT
    dst: Whose = Place.FRONT
    tlvs: tuple[TlvWanted, ...] = ()
    ssl: SslWanted | None = None
    exact: bool = True
    concessions: tuple[Concession, ...] = ()

    def __str__(self) -> str:
        """Say it in a line."""
        if self.version == 0:
            return "no header"
        words = ["any version" if self.version is None else f"v{self.version}"]
        if self.version == 2 and self.role is not Role.UNTOLD:
            words.append("PROXY" if self.role is Role.CLIENT else "LOCAL")
        if self.version == 2 and self.role is Role.CHECK:
            pass  # LOCAL has no addresses
        elif self.src is Place.NOWHERE:
            words.append("without addresses")
        elif self.src is not Place.ANY or self.dst is not Place.ANY:
            words.append(f"from {_whose(self.src)} to {_whose(self.dst)}")
        words += [tlv.named(TYPE_NAMES) for tlv in self.tlvs]
        if self.ssl is not None:
            words.append(str(self.ssl))
        return " ".join(words)


def _whose(whose: Whose) -> str:
    if isinstance(whose, Place):
        return whose.value
    if isinstance(whose, At):
        return whose.address
    return " or ".join(str(network) for network in whose.networks)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one connection beyond its bytes."""

    client: View | None = None
    front: View | None = None
    values: Mapping[Fact, bytes] = field(default_factory=dict)
