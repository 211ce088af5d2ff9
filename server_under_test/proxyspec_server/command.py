"""The command line of the server: options in, an exit code out."""

import argparse
import asyncio
import errno
import gc
import ipaddress
import math
import re
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from proxyspec_server.connection import Service
from proxyspec_server.journal import Journal, Step
from proxyspec_server.message import Deliver
from proxyspec_server.profile import STRICT, Limits, Profile
from proxyspec_server.proxy import Endpoint
from proxyspec_server.shell import BACKLOG, Server
from proxyspec_server.sink import Maildir, discard
from proxyspec_server.trust import TrustList, TrustListError, parse_entry
from proxyspec_server.visible import visible

EXIT_STOPPED = 0
EXIT_USAGE = 2
EXIT_FAULT = 4
EXIT_INTERRUPTED = 130

_HOSTNAME = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?(?:\.[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?)*")
_SPARE_DESCRIPTORS = 64


class ConfigurationError(Exception):
    """What the user asked for cannot be done; the message names the input and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, checked."""

    listen: tuple[Endpoint, ...]
    trust: TrustList
    hosts: Path | None
    name: str
    limits: Limits
    log: str
    maildir: Path | None

    def load_trust(self) -> TrustList:
        """The addresses of the command line and of the file as it is now. Raises TrustListError."""
        return self.trust if self.hosts is None else self.trust | TrustList.load(self.hosts)


def main(argv: Sequence[str] | None = None, prog: str = "proxyspec serve") -> int:
    """Run the server until a signal stops it.

    Returns 0 after SIGTERM, 130 after SIGINT, 2 when options or configuration are at fault, 4 when the server met a
    fault of its own, which the log then has.
    """
    try:
        options = parse(argv, prog)
    except SystemExit as stop:
        # argparse has said what there is to say.
        return stop.code if isinstance(stop.code, int) else EXIT_USAGE
    sockets: list[socket.socket] = []
    try:
        service = Service(
            name=options.name,
            trust=options.load_trust(),
            profile=profile(options.limits),
            deliver=_sink(options.maildir),
        )
        journal = _journal(options.log)
        sockets.extend(bind(endpoint) for endpoint in options.listen)
        return asyncio.run(serve(options, Server(service, journal), sockets))
    except (ConfigurationError, TrustListError) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        for bound in sockets:
            bound.close()


def parse(argv: Sequence[str] | None, prog: str) -> Options:
    """Read the command line. Raises SystemExit, as argparse does, with 2 for a bad one."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Run the reference SMTP server. PROXY headers are off until a peer is trusted.",
        epilog="Exit codes: 0 stopped by SIGTERM, 130 by SIGINT, 2 bad options or configuration, 4 internal fault. "
        "SIGHUP reads the file of --hosts again.",
    )
    defaults = Limits()
    parser.add_argument(
        "--listen",
        action="append",
        type=_endpoint,
        metavar="HOST:PORT",
        help="address to listen on, port 0 picks a free one, IPv6 as [::1]:25; repeatable (default 127.0.0.1:2525)",
    )
    parser.add_argument(
        "--trust",
        action="append",
        type=_trust,
        metavar="ADDR|CIDR",
        default=[],
        help="a proxy that has to send a PROXY header; repeatable",
    )
    parser.add_argument(
        "--hosts", type=Path, metavar="FILE", help="file of trusted proxies, one address or CIDR a line"
    )
    parser.add_argument(
        "--header-timeout",
        type=_seconds,
        metavar="S",
        default=defaults.header_timeout,
        help="seconds from accept to the complete header (default %(default)g)",
    )
    parser.add_argument(
        "--idle-timeout",
        type=_seconds,
        metavar="S",
        default=defaults.idle_timeout,
        help="seconds without a byte in a session (default %(default)g)",
    )
    parser.add_argument("--hostname", type=_hostname, metavar="NAME", help="name in replies (default: this machine's)")
    parser.add_argument(
        "--max-message-size",
        type=_count,
        metavar="N",
        default=defaults.message,
        help="bytes of the largest message accepted (default %(default)d)",
    )
    parser.add_argument(
        "--max-connections",
        type=_count,
        metavar="N",
        default=defaults.connections,
        help="connections at a time (default %(default)d)",
    )
    parser.add_argument(
        "--log",
        metavar="PATH|-|none",
        default="none",
        help="where the JSON lines of the log go (default %(default)s)",
    )
    parser.add_argument("--maildir", type=Path, metavar="DIR", help="deliver into this Maildir (default: discard)")
    found = parser.parse_args(argv)
    trust = TrustList()
    for entry in found.trust:
        trust |= entry
    return Options(
        listen=tuple(found.listen or [Endpoint("127.0.0.1", 2525)]),
        trust=trust,
        hosts=found.hosts,
        name=found.hostname or _default_hostname(),
        limits=replace(
            defaults,
            header_timeout=found.header_timeout,
            idle_timeout=found.idle_timeout,
            message=found.max_message_size,
            connections=found.max_connections,
        ),
        log=found.log,
        maildir=found.maildir,
    )


def profile(limits: Limits) -> Profile:
    """The profile served, with the limits of the command line."""
    return replace(STRICT, limits=limits)


def bind(endpoint: Endpoint) -> socket.socket:
    """Listen on an address. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(endpoint)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise ConfigurationError(f"cannot listen on {endpoint}: {_bind_remedy(error, endpoint)}") from error
    bound.settimeout(0)
    return bound


def _bind_remedy(error: OSError, endpoint: Endpoint) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {endpoint.port} is in use; stop what listens there, or take another port (0 picks a free one)"
    if error.errno == errno.EACCES:
        return f"port {endpoint.port} needs privileges; take a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine does not have that address; take one that `ip address` shows"
    return f"{error.strerror or error}; take another address"


async def serve(options: Options, server: Server, sockets: Sequence[socket.socket]) -> int:
    """Run the server until SIGTERM or SIGINT; returns the exit code."""
    loop = asyncio.get_running_loop()
    journal = server.journal
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(code: int) -> None:
        if not stopped.done():
            stopped.set_result(code)

    loop.add_signal_handler(signal.SIGTERM, stop, EXIT_STOPPED)
    loop.add_signal_handler(signal.SIGINT, stop, EXIT_INTERRUPTED)
    loop.add_signal_handler(signal.SIGHUP, _reload, options, server)
    _check_descriptors(options.limits.connections, journal)
    # What exists now stays: full collections among thousands of connections would make deadlines late.
    gc.collect()
    gc.freeze()
    await server.listen(sockets)
    for bound in sockets:
        endpoint = Endpoint(*bound.getsockname()[:2])
        print(f"listening on {endpoint}", file=sys.stderr, flush=True)
        journal.record(Step.LISTENING, address=str(endpoint), trusted=len(server.service.trust))
    code = await stopped
    await server.stop()
    journal.record(Step.STOPPED, faults=server.faults)
    journal.close()
    return EXIT_FAULT if server.faults else code


def _reload(options: Options, server: Server) -> None:
    try:
        trust = options.load_trust()
    except TrustListError as error:
        server.journal.record(Step.TROUBLE, reason=f"the trust list stays as it was: {error}")
        return
    server.trust(trust)
    server.journal.record(Step.RELOADED, trusted=len(trust))


def _check_descriptors(connections: int, journal: Journal) -> None:
    """Raise the limit of open files as far as allowed, and say when it is lower than the connections wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_DESCRIPTORS
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        journal.record(
            Step.LIMITS,
            reason=f"the limit of open files ({allowed}) is too low for {connections} connections; "
            f"raise it with `ulimit -n {wanted}`, or lower --max-connections",
        )


def _sink(maildir: Path | None) -> Deliver:
    if maildir is None:
        return discard
    try:
        return Maildir(maildir)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"cannot use the Maildir {maildir}: {reason}; name a folder that can be written"
        ) from error


def _journal(target: str) -> Journal:
    try:
        return Journal.open(target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigurationError(
            f"cannot write the log {target}: {reason}; name a file that can be written, - or none"
        ) from error


def _default_hostname() -> str:
    name = socket.gethostname()
    return name if _HOSTNAME.fullmatch(name) and len(name) <= 255 else "localhost"


# Option types: argparse shows the message of the error beside the option's name.


def _endpoint(text: str) -> Endpoint:
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    shown = visible(text, 80)
    if not colon or not host or (":" in host and not bracketed):
        raise argparse.ArgumentTypeError(f'"{shown}" is not HOST:PORT; write 127.0.0.1:2525 or [::1]:2525')
    if not port.isascii() or not port.isdigit() or len(port) > 5 or int(port) > 65535:
        raise argparse.ArgumentTypeError(f'the port of "{shown}" is not a number from 0 to 65535')
    bare = "127.0.0.1" if host == "localhost" else host.strip("[]")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        remedy = "write a numeric one, such as 127.0.0.1 or [::1]"
        raise argparse.ArgumentTypeError(f'the host of "{shown}" is not an address; {remedy}') from None
    return Endpoint(str(address), int(port))


def _trust(text: str) -> TrustList:
    try:
        return TrustList([parse_entry(text.strip(), "the command line")])
    except TrustListError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    # A year is no deadline any more; the event loop's own timers end somewhere beyond.
    if not 0 < seconds <= 31_536_000:
        raise argparse.ArgumentTypeError(f'"{visible(text, 40)}" is not a number of seconds above 0; write 30 or 0.5')
    return seconds


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15 or int(text) < 1:
        raise argparse.ArgumentTypeError(f'"{visible(text, 40)}" is not a whole number above 0')
    return int(text)


def _hostname(text: str) -> str:
    if len(text) > 255 or not _HOSTNAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f'"{visible(text, 60)}" is not a host name; write one such as mx.example.com')
    return text
