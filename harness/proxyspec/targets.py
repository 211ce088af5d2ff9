"""From what the user wrote to a `Target`: the URL, the consent to leave the loopback, the addresses to connect from."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence

from proxyspec.errors import UsageError
from proxyspec.model import Target

__all__ = ["bindable", "make_target", "parse_url", "resolve"]

_URL = re.compile(r"(?:smtp://)?(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+)):(?P<port>[0-9]{1,5})/?")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_url(text: str) -> tuple[str, int]:
    """Split `smtp://HOST:PORT` (the scheme may be left out, IPv6 goes in brackets).

    Raises:
        UsageError: it is something else.
    """
    match = _URL.fullmatch(text.strip())
    if match is None or not 0 < int(match["port"]) < 65536:
        raise UsageError(f"{text!r} is no target: write smtp://HOST:PORT, for instance smtp://127.0.0.1:2525")
    return match["six"] or match["host"], int(match["port"])


def resolve(host: str, port: int, allowed: Sequence[str]) -> str:
    """Return the address to connect to, refusing any that is neither loopback nor named by the user.

    Raises:
        UsageError: the host has no address, an `allowed` entry is no network, or the address is not allowed.
    """
    networks: list[Network] = []
    for entry in allowed:
        try:
            networks.append(ipaddress.ip_network(entry, strict=False))
        except ValueError as error:
            raise UsageError(f"--allow-target {entry!r} is no address or CIDR range: {error}") from error
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"the target's host {host!r} has no address: {error.strerror or error}") from error
    address = ipaddress.ip_address(str(found[0][4][0]).partition("%")[0])
    if not address.is_loopback and not any(address in network for network in networks):
        raise UsageError(
            f"the target {host} is {address}, not a loopback address: malformed headers and load go to other machines "
            f"only with consent; if that server is yours, add --allow-target {address}"
        )
    return str(address)


def bindable(address: str) -> bool:
    """Tell whether a connection can be made from this local address."""
    try:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _local(option: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        address = str(ipaddress.ip_address(text))
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is no IP address: {error}") from error
    if not bindable(address):
        raise UsageError(f"{option} {address} is no address of this machine: no connection can come from it")
    return address


def make_target(
    url: str,
    *,
    allowed: Sequence[str] = (),
    header_timeout: float = 30.0,
    trusted_source: str | None = None,
    untrusted_source: str | None = None,
    versions: frozenset[int] = frozenset({1, 2}),
    oracle: str = "auto",
) -> Target:
    """Build the target profile of a command line.

    Where no untrusted source is named, a target on 127.0.0.1 gets 127.0.0.2; "none" declares that there is no address
    the target distrusts.

    Raises:
        UsageError: the URL, an address or the timeout is wrong, or the target is not on this machine and not allowed.
    """
    if not 0 < header_timeout <= 3600:
        raise UsageError(f"--header-timeout {header_timeout:g} is out of range: seconds above 0, 3600 at most")
    host, port = parse_url(url)
    address = resolve(host, port, allowed)
    if untrusted_source == "none":
        untrusted_source = None
    elif (
        untrusted_source is None and address == "127.0.0.1" and trusted_source != "127.0.0.2" and bindable("127.0.0.2")
    ):
        untrusted_source = "127.0.0.2"
    return Target(
        host=address,
        port=port,
        header_timeout=header_timeout,
        trusted_source=_local("--trusted", trusted_source),
        untrusted_source=_local("--untrusted", untrusted_source),
        versions=versions,
        oracle=oracle,
    )
