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
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from proxyspec_server.certificate import self_signed
from proxyspec_server.connection import Entrance, Service, SslTlvUse
from proxyspec_server.journal import Journal, Step
from proxyspec_server.listener import BACKLOG
from proxyspec_server.loops import Loop, LoopUnavailable, loop_factory
from proxyspec_server.message import Deliver
from proxyspec_server.profile import Limits
from proxyspec_server.profiles import PROFILES
from proxyspec_server.proxy import Endpoint
from proxyspec_server.scrape import MetricsPort
from proxyspec_server.selection import add_options, answer_lists, check_difference, selected
from proxyspec_server.shell import Server
from proxyspec_server.sink import Maildir, discard
from proxyspec_server.tls import CertificateError, server_context
from proxyspec_server.trust import TrustList, TrustListError, parse_entry
from proxyspec_server.visible import visible
from proxyspec_server.workers import Duty, Supervisor, WorkerFailed

EXIT_STOPPED = 0
EXIT_USAGE = 2
EXIT_FAULT = 4
EXIT_INTERRUPTED = 130

_HOSTNAME = re.compile(r"[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?(?:\.[0-9A-Za-z](?:[0-9A-Za-z-]*[0-9A-Za-z])?)*")
_SPARE_DESCRIPTORS = 64
_STOP_GRACE = 5.0
"""Seconds a worker gets to stop, on top of the time its connections get."""


class ConfigurationError(Exception):
    """What the user asked for cannot be done; the message names the input and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The command line, checked."""

    listen: tuple[Endpoint, ...]
    listen_tls: tuple[Endpoint, ...]
    tls: "Certificate | None"
    ssl_tlv: SslTlvUse
    metrics: Endpoint | None
    trust: TrustList
    hosts: Path | None
    name: str
    profile: str
    defect: str | None
    variation: str | None
    limits: Limits
    log: str
    maildir: Path | None
    loop: Loop
    workers: int

    def load_trust(self) -> TrustList:
        """The addresses of the command line and of the file as it is now. Raises TrustListError."""
        return self.trust if self.hosts is None else self.trust | TrustList.load(self.hosts)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Where the certificate comes from: two PEM files, or for None the program openssl, on the spot."""

    files: tuple[Path, Path] | None

    def context(self, name: str) -> ssl.SSLContext:
        """The TLS context with the certificate, `name` in it if it is made now. Raises CertificateError."""
        return self_signed(name) if self.files is None else server_context(*self.files)


@dataclass(frozen=True, slots=True)
class Listeners:
    """The bound sockets, by what is served on them."""

    cleartext: list[socket.socket] = field(default_factory=list)
    tls: list[socket.socket] = field(default_factory=list)
    metrics: list[socket.socket] = field(default_factory=list)

    def bind(self, options: Options) -> None:
        """Listen wherever the options say. Raises ConfigurationError."""
        self.cleartext.extend(bind(endpoint) for endpoint in options.listen)
        self.tls.extend(bind(endpoint) for endpoint in options.listen_tls)
        if options.metrics is not None:
            self.metrics.append(bind(options.metrics))

    def shared(self, workers: int) -> "list[Listeners]":
        """Listen in their place with a socket for each worker, among which the kernel deals the connections out.

        That these were bound has shown that nobody else listens there. Raises ConfigurationError.
        """
        cleartext, tls = ([Endpoint(*bound.getsockname()[:2]) for bound in each] for each in (self.cleartext, self.tls))
        self.close()
        made: list[Listeners] = []
        for _ in range(workers):
            made.append(Listeners())
            made[-1].cleartext.extend(bind(endpoint, socket.SO_REUSEPORT) for endpoint in cleartext)
            made[-1].tls.extend(bind(endpoint, socket.SO_REUSEPORT) for endpoint in tls)
        return made

    def close(self) -> None:
        """Close them all."""
        for bound in (*self.cleartext, *self.tls, *self.metrics):
            bound.close()


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
    listeners = Listeners()
    try:
        parts = selected(options.profile, options.defect, options.variation)
        service = Service(
            name=options.name,
            trust=options.load_trust(),
            profile=replace(parts.profile, limits=options.limits),
            deliver=_sink(options.maildir),
            tls=options.tls.context(options.name) if options.tls is not None else None,
            ssl_tlv=options.ssl_tlv,
        )
        journal = _journal(options.log)
        listeners.bind(options)
        make_loop = loop_factory(options.loop)

        def work(own: Listeners, duty: Duty | None) -> int:
            server = parts.server_type(service, journal, parts.connection_type)
            with asyncio.Runner(loop_factory=make_loop) as runner:
                return runner.run(serve(options, server, own, duty))

        if options.workers == 1:
            return work(listeners, None)
        return supervise(options, listeners, journal, len(service.trust), work)
    except (ConfigurationError, TrustListError, CertificateError, LoopUnavailable) as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except WorkerFailed as error:
        print(f"{prog}: {error}", file=sys.stderr)
        return EXIT_FAULT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    finally:
        listeners.close()


def parse(argv: Sequence[str] | None, prog: str) -> Options:
    """Read the command line. Raises SystemExit, as argparse does, with 2 for a bad one."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Run the reference SMTP server. PROXY headers are off until a peer is trusted.",
        epilog="Exit codes: 0 stopped by SIGTERM, 130 by SIGINT, 2 bad options or configuration, 4 internal fault. "
        "SIGHUP reads the file of --hosts again, SIGUSR1 writes what has been counted into the log.",
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
        "--listen-tls",
        action="append",
        type=_endpoint,
        metavar="HOST:PORT",
        default=[],
        help="address whose connections begin with TLS, after the PROXY header in clear; repeatable",
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="PEM certificate chain; turns STARTTLS on")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="PEM key of the certificate, unencrypted")
    parser.add_argument(
        "--tls-self-signed", action="store_true", help="make a certificate for tests now, with the program openssl"
    )
    parser.add_argument(
        "--tls-timeout",
        type=_seconds,
        metavar="S",
        default=defaults.tls_timeout,
        help="seconds a TLS handshake may take (default %(default)g)",
    )
    parser.add_argument(
        "--trust-ssl-tlv",
        action="store_true",
        help="believe the SSL TLV of a trusted proxy: such a session counts as encrypted",
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
        "--max-per-client",
        type=_count,
        metavar="N",
        help="connections at a time of one client address, the proxied one behind a proxy (default: no limit)",
    )
    parser.add_argument(
        "--max-waiting",
        type=_count,
        metavar="N",
        help="connections that wait for their header at a time (default: no limit of their own)",
    )
    parser.add_argument(
        "--metrics",
        type=_endpoint,
        metavar="HOST:PORT",
        help="serve counters over HTTP: /metrics for Prometheus, /metrics.json; on a loopback address",
    )
    parser.add_argument(
        "--metrics-public", action="store_true", help="let --metrics be an address that others can reach"
    )
    parser.add_argument(
        "--loop",
        choices=[loop.value for loop in Loop],
        default=Loop.AUTO.value,
        help="event loop; auto takes uvloop where it is installed (default %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=_count,
        metavar="N",
        default=1,
        help="processes that share the ports; limits are for each of them (default %(default)s)",
    )
    parser.add_argument(
        "--log",
        metavar="PATH|-|none",
        default="none",
        help="where the JSON lines of the log go (default %(default)s)",
    )
    parser.add_argument("--maildir", type=Path, metavar="DIR", help="deliver into this Maildir (default: discard)")
    add_options(parser)
    found = parser.parse_args(argv)
    if found.metrics and found.workers > 1:
        parser.error("--metrics counts for one process; leave out --workers, or send SIGUSR1 and read the log")
    if answer_lists(found):
        raise SystemExit(EXIT_STOPPED)
    check_difference(parser, found.defect, found.variation)
    certificate = _certificate(parser, found)
    if found.metrics and not found.metrics_public and not ipaddress.ip_address(found.metrics.host).is_loopback:
        parser.error(f"--metrics {found.metrics} can be reached by others; take 127.0.0.1, or add --metrics-public")
    trust = TrustList()
    for entry in found.trust:
        trust |= entry
    return Options(
        listen=tuple(found.listen or ([] if found.listen_tls else [Endpoint("127.0.0.1", 2525)])),
        listen_tls=tuple(found.listen_tls),
        tls=certificate,
        ssl_tlv=SslTlvUse.BELIEVED if found.trust_ssl_tlv else SslTlvUse.SHOWN,
        metrics=found.metrics,
        trust=trust,
        hosts=found.hosts,
        name=found.hostname or _default_hostname(),
        profile=found.profile,
        defect=found.defect,
        variation=found.variation,
        limits=replace(
            PROFILES[found.profile].limits,
            header_timeout=found.header_timeout,
            tls_timeout=found.tls_timeout,
            idle_timeout=found.idle_timeout,
            message=found.max_message_size,
            connections=found.max_connections,
            connections_per_client=found.max_per_client,
            waiting=found.max_waiting,
        ),
        log=found.log,
        maildir=found.maildir,
        loop=Loop(found.loop),
        workers=found.workers,
    )


def _certificate(parser: argparse.ArgumentParser, found: argparse.Namespace) -> Certificate | None:
    if (found.tls_cert is None) != (found.tls_key is None):
        parser.error("--tls-cert and --tls-key go together; give both")
    if found.tls_self_signed and found.tls_cert is not None:
        parser.error("--tls-self-signed makes a certificate of its own; leave out either it or --tls-cert")
    if found.listen_tls and found.tls_cert is None and not found.tls_self_signed:
        parser.error("--listen-tls needs a certificate; add --tls-cert and --tls-key, or --tls-self-signed")
    if found.tls_self_signed:
        return Certificate(None)
    return None if found.tls_cert is None else Certificate((found.tls_cert, found.tls_key))


def bind(endpoint: Endpoint, *switches: int) -> socket.socket:
    """Listen on an address, with these socket options switched on as well. Raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        for switch in (socket.SO_REUSEADDR, *switches):
            bound.setsockopt(socket.SOL_SOCKET, switch, 1)
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


def supervise(
    options: Options, listeners: Listeners, journal: Journal, trusted: int, work: Callable[[Listeners, Duty], int]
) -> int:
    """Run workers until SIGTERM or SIGINT; returns the exit code. Raises ConfigurationError and WorkerFailed."""
    owned = listeners.shared(options.workers)

    def begin(duty: Duty) -> int:
        for number, others in enumerate(owned):
            if number != duty.number:
                others.close()
        return work(owned[duty.number], duty)

    def tell(reason: str) -> None:
        journal.record(Step.TROUBLE, reason=reason)

    def leave() -> None:
        # A socket left open here would go on taking connections which nobody serves.
        for each in owned:
            each.close()

    try:
        supervisor = Supervisor(options.workers, begin, tell, leave, options.limits.linger + _STOP_GRACE)
        supervisor.start()
        announce(owned[0], journal, trusted)
        caught, codes = supervisor.run()
    finally:
        leave()
    journal.close()
    if EXIT_FAULT in codes:
        return EXIT_FAULT
    return EXIT_INTERRUPTED if caught is signal.SIGINT else EXIT_STOPPED


def announce(listeners: Listeners, journal: Journal, trusted: int) -> None:
    """Say where the server listens, now that it does."""
    for bound in listeners.metrics:
        print(f"metrics on http://{_bound_to(bound)}/metrics", file=sys.stderr, flush=True)
    for sockets, entrance, words in (
        (listeners.cleartext, Entrance.CLEARTEXT, "listening on"),
        (listeners.tls, Entrance.TLS, "listening with TLS on"),
    ):
        for bound in sockets:
            address = _bound_to(bound)
            print(f"{words} {address}", file=sys.stderr, flush=True)
            journal.record(Step.LISTENING, address=address, entrance=entrance.value, trusted=trusted)


async def serve(options: Options, server: Server, listeners: Listeners, duty: Duty | None = None) -> int:
    """Run the server until SIGTERM or SIGINT, as a worker where it has a duty; returns the exit code."""
    loop = asyncio.get_running_loop()
    journal = server.journal
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(code: int) -> None:
        if not stopped.done():
            stopped.set_result(code)

    loop.add_signal_handler(signal.SIGTERM, stop, EXIT_STOPPED)
    loop.add_signal_handler(signal.SIGINT, stop, EXIT_INTERRUPTED)
    loop.add_signal_handler(signal.SIGHUP, _reload, options, server)
    loop.add_signal_handler(signal.SIGUSR1, _report, server)
    _check_descriptors(options.limits.connections, journal)
    # What exists now stays: full collections among thousands of connections would make deadlines late.
    gc.collect()
    gc.freeze()
    metrics = MetricsPort(server.snapshot)
    for bound in listeners.metrics:
        await metrics.listen(bound)
    await server.listen(listeners.cleartext, Entrance.CLEARTEXT)
    await server.listen(listeners.tls, Entrance.TLS)
    if duty is None:
        announce(listeners, journal, len(server.service.trust))
    else:
        loop.add_reader(duty.lifeline, stop, EXIT_STOPPED)
        duty.ready()
    code = await stopped
    await server.stop()
    metrics.close()
    journal.record(Step.STOPPED, faults=server.faults)
    journal.close()
    return EXIT_FAULT if server.faults else code


def _bound_to(bound: socket.socket) -> str:
    return str(Endpoint(*bound.getsockname()[:2]))


def _report(server: Server) -> None:
    server.journal.record(Step.METRICS, **server.snapshot().as_json())


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
