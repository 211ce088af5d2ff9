"""From what the user wrote to a `Target`: URL, consent to leave the loopback, addresses to connect from, profiles.

A target profile is a TOML file with one table, `[target]`, whose keys are the options of the command line.
"""

from __future__ import annotations

import ipaddress
import os
import re
import shlex
import socket
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from proxyspec.errors import UsageError
from proxyspec.model import Capability, Login, Service, Target

__all__ = [
    "Network",
    "Profile",
    "bindable",
    "capabilities_of",
    "flags_of",
    "header_deadline",
    "load_target",
    "make_target",
    "networks_of",
    "parse_url",
    "resolve",
]

#: Begins with the characters of 127.0.0.1.
LOOKALIKE = "127.0.0.103"
#: A profile larger than this is none, in bytes.
MAX_PROFILE = 1024 * 1024

_URL = re.compile(r"(?:smtp://)?(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]+)):(?P<port>[0-9]{1,5})/?")

#: One word of a command.
Word = Annotated[str, Field(min_length=1, pattern=r"\A[^\x00]*\z")]
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


def networks_of(option: str, texts: Sequence[str]) -> tuple[Network, ...]:
    """Read addresses and CIDR ranges that `option` names.

    Raises:
        UsageError: one is neither.
    """
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text, strict=False))
        except ValueError as error:
            raise UsageError(f"{option} {text!r} is no address or CIDR range: {error}") from error
    return tuple(found)


def header_deadline(seconds: float) -> float:
    """Return the header deadline that `--header-timeout` names, in seconds.

    Raises:
        UsageError: it is out of range.
    """
    if not 0 < seconds <= 3600:
        raise UsageError(f"--header-timeout {seconds:g} is out of range: seconds above 0, 3600 at most")
    return seconds


def resolve(host: str, port: int, allowed: Sequence[str]) -> str:
    """Return the address to connect to, refusing any that is neither loopback nor named by the user.

    Raises:
        UsageError: the host has no address, an `allowed` entry is no network, or the address is not allowed.
    """
    networks = networks_of("--allow-target", allowed)
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


def _local(option: str, text: str | None, target: str) -> str | None:
    if text is None:
        return None
    try:
        address = str(ipaddress.ip_address(text))
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is no IP address: {error}") from error
    if (":" in address) != (":" in target):
        raise UsageError(f"{option} {address} and the target {target} are not of one family: no connection joins them")
    if not bindable(address):
        raise UsageError(f"{option} {address} is no address of this machine: no connection can come from it")
    return address


def _neighbour(target: str, trusted: str | None) -> str | None:
    """Return the address that is taken for untrusted where none is named."""
    return "127.0.0.2" if target == "127.0.0.1" and trusted != "127.0.0.2" and bindable("127.0.0.2") else None


def capabilities_of(words: Sequence[str]) -> tuple[frozenset[Capability], frozenset[Capability]]:
    """Read names of capabilities: those declared, and those declared absent with `no-` in front.

    Raises:
        UsageError: a name is unknown, or declared both ways.
    """
    has: set[Capability] = set()
    lacks: set[Capability] = set()
    for word in (word.strip() for word in words if word.strip()):
        name = word.removeprefix("no-")
        if name not in {capability.value for capability in Capability}:
            known = ", ".join(capability.value for capability in Capability)
            raise UsageError(f"--capabilities {word!r} is unknown: one of {known}, or no- and one of them")
        (has if name == word else lacks).add(Capability(name))
    if both := sorted(has & lacks):
        raise UsageError(f"--capabilities declares {both[0]} both present and absent: write one of the two")
    return frozenset(has), frozenset(lacks)


def _pid(pid: int | None) -> int | None:
    if pid is not None and (pid <= 0 or not Path("/proc", str(pid), "stat").exists()):
        raise UsageError(f"--pid {pid} is no process of this machine: name the target's main process, or leave it out")
    return pid


def make_target(
    url: str,
    *,
    allowed: Sequence[str] = (),
    header_timeout: float = 30.0,
    trusted_source: str | None = None,
    untrusted_source: str | None = None,
    versions: frozenset[int] = frozenset({1, 2}),
    oracle: str = "auto",
    oracle_file: str | None = None,
    oracle_pattern: str | None = None,
    recipient: str | None = None,
    capabilities: Sequence[str] = (),
    tls_port: int | None = None,
    pid: int | None = None,
    crash_log: str | None = None,
    crash_pattern: str | None = None,
    name: str | None = None,
    parallel: int = 1024,
    login: Login | None = None,
    service: Service | None = None,
) -> Target:
    """Build the target profile of a command line.

    Where no untrusted source is named, a target on 127.0.0.1 gets 127.0.0.2; "none" declares that there is no address
    the target distrusts. A `tls_port` declares the capability that goes with it, a `login` that mail needs one.

    Raises:
        UsageError: the URL, an address or another value is wrong, or the target is not on this machine and not allowed.
    """
    has, lacks = capabilities_of(capabilities)
    if Capability.IMPLICIT_TLS in has and tls_port is None:
        raise UsageError("--capabilities implicit-tls needs --tls-port: the port whose connections begin with TLS")
    if tls_port is not None and not 0 < tls_port < 65536:
        raise UsageError(f"--tls-port {tls_port} is out of range: 1 to 65535")
    header_deadline(header_timeout)
    host, port = parse_url(url)
    address = resolve(host, port, allowed)
    trusted = _local("--trusted", trusted_source, address)
    if untrusted_source is None:
        untrusted = _neighbour(address, trusted)
    else:
        untrusted = None if untrusted_source == "none" else _local("--untrusted", untrusted_source, address)
        if untrusted is not None and untrusted == trusted:
            raise UsageError(f"--untrusted {untrusted} is the trusted address as well: name another, or none")
    # Such an address is trusted only where a whole network is, and then so is the unlisted one.
    begins_alike = address == "127.0.0.1" and trusted in (None, "127.0.0.1") and untrusted is not None
    return Target(
        host=address,
        port=port,
        name=name,
        parallel=parallel,
        header_timeout=header_timeout,
        trusted_source=trusted,
        untrusted_source=untrusted,
        lookalike_source=LOOKALIKE if begins_alike and bindable(LOOKALIKE) else None,
        versions=versions,
        oracle=oracle,
        oracle_file=oracle_file,
        oracle_pattern=oracle_pattern,
        recipient=recipient,
        capabilities=has | ({Capability.IMPLICIT_TLS} if tls_port is not None else set()),
        lacks=lacks | ({Capability.ANONYMOUS_MAIL} if login is not None else set()),
        login=login,
        service=service,
        tls_port=tls_port,
        pid=_pid(pid),
        crash_log=crash_log,
        crash_pattern=crash_pattern,
    )


class Profile(BaseModel):
    """The table `[target]` of a profile; each key means what the option of that name means."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    url: str = Field(description="smtp://HOST:PORT")
    name: str | None = Field(default=None, max_length=200, description="what reports call it; left out: its URL")
    header_timeout: float = Field(default=30.0, description="the header deadline, seconds from accept")
    trusted: str | None = Field(default=None, description="local address the target trusts to send PROXY")
    untrusted: str | None = Field(default=None, description="local address the target does not trust, or none")
    versions: list[int] = Field(default=[1, 2], description="header versions it speaks")
    oracle: str = Field(default="auto", description="what shows the address it believes")
    oracle_file: str | None = Field(default=None, description="Maildir, mbox or log; relative to the profile")
    oracle_pattern: str | None = Field(default=None, description="regular expression with the group address")
    recipient: str | None = Field(default=None, description="whom the oracle received sends messages to")
    capabilities: list[str] = Field(default=[], description="what it has, or with no- in front, has not")
    user: str | None = Field(default=None, min_length=1, description="who logs in before mail, with AUTH PLAIN")
    password: str | None = Field(default=None, description="that user's; neither shown nor recorded")
    tls_port: int | None = Field(default=None, description="port whose connections begin with TLS")
    pid: int | None = Field(default=None, description="its main process, to see whether it idles")
    crash_log: str | None = Field(default=None, description="log that tells of its crashes; relative to the profile")
    crash_pattern: str | None = Field(default=None, description="regular expression: how the lines that do so begin")
    start: list[Word] = Field(default=[], description="command that starts it: a list of words, run by no shell")
    stop: list[Word] = Field(default=[], description="command that ends it; left out: SIGTERM, then SIGKILL")
    parallel: int = Field(default=1024, ge=1, le=1024, description="connections it can serve side by side")
    allow: list[str] = Field(default=[], description="consent to targets not on this machine")


def load_target(path: str, overrides: Mapping[str, Any] | None = None) -> Target:
    """Read a target profile; `overrides` are values of its keys that the command line says otherwise.

    Raises:
        UsageError: the file cannot be read, is no TOML, or a key is unknown, missing or of the wrong kind; and as
            `make_target`.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_PROFILE + 1)
        if len(text) > MAX_PROFILE:
            raise UsageError(f"{path} is larger than {MAX_PROFILE} bytes: not a target profile")
        tables = tomllib.loads(text.decode())
    except OSError as error:
        raise UsageError(f"the target profile {path} cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no TOML file: {error}") from error
    if set(tables) != {"target"} or not isinstance(tables["target"], dict):
        extra = sorted(set(tables) - {"target"})
        said = f"it has {extra[0]!r} beside it" if extra else "it has none"
        raise UsageError(f"{path} must hold one table, [target]; {said}")
    try:
        profile = Profile.model_validate(tables["target"] | dict(overrides or {}))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        known = f"; the keys are {', '.join(Profile.model_fields)}" if first["type"] == "extra_forbidden" else ""
        raise UsageError(f"{path}: [target] {key}: {first['msg']}{known}") from error
    if not profile.versions or not set(profile.versions) <= {1, 2}:
        raise UsageError(f"{path}: [target] versions: {profile.versions} must be [1], [2] or [1, 2]")
    if (profile.user is None) != (profile.password is None):
        raise UsageError(f"{path}: [target] user and password go together: write both, or neither")
    if profile.stop and not profile.start:
        raise UsageError(f"{path}: [target] stop ends what start has started: write start, too, or leave both out")
    where = str(Path(path).absolute())
    service = Service(where, tuple(profile.start), tuple(profile.stop)) if profile.start else None
    login = None if profile.user is None or profile.password is None else Login(profile.user, profile.password)
    here = Path(path).parent
    try:
        return make_target(
            profile.url,
            allowed=profile.allow,
            header_timeout=profile.header_timeout,
            trusted_source=profile.trusted,
            untrusted_source=profile.untrusted,
            versions=frozenset(profile.versions),
            oracle=profile.oracle,
            oracle_file=None if profile.oracle_file is None else os.fspath(here / profile.oracle_file),
            oracle_pattern=profile.oracle_pattern,
            recipient=profile.recipient,
            capabilities=profile.capabilities,
            tls_port=profile.tls_port,
            pid=profile.pid,
            crash_log=None if profile.crash_log is None else os.fspath(here / profile.crash_log),
            crash_pattern=profile.crash_pattern,
            name=profile.name,
            parallel=profile.parallel,
            login=login,
            service=service,
        )
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def flags_of(target: Target) -> str:
    """Return the command line arguments that describe this target again, quoted for a shell."""
    words = [target.url if target.service is None else target.service.profile]
    if target.header_timeout != 30:
        words += ["--header-timeout", f"{target.header_timeout:g}"]
    if target.versions != {1, 2}:
        words += ["--versions", ",".join(str(version) for version in sorted(target.versions))]
    if target.oracle != "auto":
        words += ["--oracle", target.oracle]
    usual = _neighbour(target.host, target.trusted_source)
    declared = [one.value for one in sorted(target.capabilities - {Capability.IMPLICIT_TLS})]
    declared += [f"no-{one}" for one in sorted(target.lacks)]
    for option, value in (
        ("--trusted", target.trusted_source),
        ("--untrusted", None if target.untrusted_source == usual else target.untrusted_source or "none"),
        ("--oracle-file", target.oracle_file),
        ("--oracle-pattern", target.oracle_pattern),
        ("--recipient", target.recipient),
        ("--capabilities", ",".join(declared) or None),
        ("--tls-port", target.tls_port),
        ("--pid", target.pid),
        ("--crash-log", target.crash_log),
        ("--crash-pattern", target.crash_pattern),
    ):
        if value is not None:
            words += [option, str(value)]
    return shlex.join(words)
