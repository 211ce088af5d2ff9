"""The trust list: the peers allowed, and then obliged, to begin with a PROXY header (sections 2 and 5)."""

from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path

from proxyspec_server.visible import visible

Network = IPv4Network | IPv6Network


class TrustListError(ValueError):
    """A trust list that cannot be used; the message names the place and the remedy."""


def _address(peer: str) -> IPv4Address | IPv6Address:
    address = ip_address(peer.partition("%")[0])
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


class TrustList:
    """A set of addresses and networks, asked about the TCP peer and never about an address inside a header.

    An IPv4-mapped IPv6 peer, as a dual-stack listener sees it, matches the IPv4 entries.
    """

    __slots__ = ("_holds", "_networks")

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        self._networks = frozenset(networks)
        # The same few proxies come again and again.
        self._holds = lru_cache(maxsize=1024)(self._look_up)

    @classmethod
    def parse(cls, text: str, origin: str) -> "TrustList":
        """Read one address or CIDR range a line; "#" begins a comment, blank lines are skipped.

        `origin` names the text in errors. Raises TrustListError for the first bad line.
        """
        networks = []
        for number, line in enumerate(text.splitlines(), 1):
            entry = line.partition("#")[0].strip()
            if entry:
                networks.append(parse_entry(entry, f"{origin}, line {number}"))
        return cls(networks)

    @classmethod
    def load(cls, path: Path) -> "TrustList":
        """Read the file at `path`. Raises TrustListError when it cannot be read or has a bad line."""
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise TrustListError(f"{path} is not a text file: write one address or CIDR range per line") from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise TrustListError(f"cannot read {path}: {reason}; check the path and its permissions") from error
        return cls.parse(text, str(path))

    def __contains__(self, peer: str) -> bool:
        """Whether `peer`, the text of an address, is on the list. Raises ValueError if it is no address."""
        return self._holds(peer)

    def _look_up(self, peer: str) -> bool:
        address = _address(peer)
        return any(address in network for network in self._networks)

    def __or__(self, other: "TrustList") -> "TrustList":
        """Both lists together."""
        return TrustList(self._networks | other._networks)

    def __len__(self) -> int:
        return len(self._networks)


def parse_entry(entry: str, place: str) -> Network:
    """Read one address or CIDR range. Raises TrustListError, naming `place`, with the remedy."""
    shown = visible(entry, 60)
    if "%" in entry:
        raise TrustListError(f'{place}: "{shown}" has a zone; write the address without "%" and what follows')
    try:
        network = ip_network(entry)
    except ValueError:
        pass
    else:
        if isinstance(network, IPv6Network) and network.prefixlen >= 96 and network.network_address.ipv4_mapped:
            mapped, length = network.network_address.ipv4_mapped, network.prefixlen - 96
            raise TrustListError(f'{place}: "{shown}" is IPv4 in IPv6 form; write {mapped}/{length}')
        return network
    try:
        meant = ip_network(entry, strict=False)
    except ValueError:
        remedy = "write an address such as 192.0.2.1 or 2001:db8::1, or a range such as 192.0.2.0/24"
        raise TrustListError(f'{place}: "{shown}" is neither an IP address nor a CIDR range; {remedy}') from None
    address = entry.partition("/")[0]
    raise TrustListError(
        f'{place}: "{shown}" has host bits set; write {meant} for the range, or {address} for the one address'
    )
