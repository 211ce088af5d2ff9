"""Installs and starts mail servers that others have written; the harness runs this as a process.

    python -m proxyspec_server.adapters [--cache DIR] list
    python -m proxyspec_server.adapters [--cache DIR] install NAME[@VERSION]
    python -m proxyspec_server.adapters [--cache DIR] start NAME[@VERSION] [--log FILE] [--header-timeout SECONDS]
                                                      [--host ADDRESS|CIDR ...] [--no-hosts]

Each prints one line of JSON. `start` does so when the server listens, and ends it when standard input ends or with
SIGTERM. Exit codes: 0, or with the reason on standard error 2 where there is no such server, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from proxyspec_server.adapters.cache import Cache, default_cache
from proxyspec_server.adapters.contract import HERE, Adapter, Place, free_port
from proxyspec_server.adapters.errors import AdapterError, UnknownServer
from proxyspec_server.adapters.keeping import PortTaken, kept, wait
from proxyspec_server.adapters.registry import ADAPTERS, adapter_of

_ATTEMPTS = 3


def _obstacle(adapter: Adapter) -> str | None:
    missing = [tool for tool in adapter.tools if shutil.which(tool) is None]
    if missing:
        return f"takes {' and '.join(missing)}, not on PATH"
    if adapter.needs_root and os.geteuid() != 0:
        return "starts as root only: it changes its user"
    return None


def _list(cache: Cache) -> list[dict[str, object]]:
    return [
        {
            "name": name,
            "summary": adapter.summary,
            "origin": adapter.origin,
            "version": adapter.version or None,
            "installed": cache.installed(adapter, adapter.version),
            "obstacle": _obstacle(adapter),
            "has_list": adapter.has_list,
        }
        for name, adapter in ADAPTERS.items()
    ]


def _start(cache: Cache, options: argparse.Namespace) -> None:
    adapter, version = adapter_of(options.server)
    if (obstacle := _obstacle(adapter)) is not None:
        raise AdapterError(f"{adapter.name} {obstacle}")
    hosts = tuple(options.host or (() if options.no_hosts else (HERE,)))
    if hosts != (HERE,) and not adapter.has_list:
        raise AdapterError(f"{adapter.name} has no list of proxies to trust: leave --host and --no-hosts out")
    found = cache.install(adapter, version)
    # Below a folder that users a server changes to can pass through, unlike ones below a home.
    run = Path(tempfile.mkdtemp(prefix=f"proxyspec-{adapter.name}-"))
    run.chmod(0o711)
    log = Path(options.log).absolute() if options.log else run / "log"
    try:
        log.touch()
        for attempt in range(1, _ATTEMPTS + 1):
            place = Place(
                software=cache.folder(adapter, version),
                run=run,
                port=free_port(),
                log=log,
                version=version or found,
                header_timeout=options.header_timeout,
                hosts=hosts,
            )
            try:
                _serve(adapter, place, found)
            except PortTaken:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return
    except OSError as error:
        raise AdapterError(f"{error.filename or run}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(run, ignore_errors=True)


def _serve(adapter: Adapter, place: Place, version: str) -> None:
    launch = adapter.prepare(place)
    with kept(launch, place.log, place.run, place.port, tell=lambda said: print(said, file=sys.stderr)) as server:
        facts = {"name": adapter.name, "version": version, "host": HERE, "port": place.port, "pid": server.pid}
        print(json.dumps({**facts, **asdict(launch.facts), "log": str(place.log)}), flush=True)
        wait(server, place.log)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # A second signal must not break off what the first one began: ending every process.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(0)


def main() -> int:
    """Carry out one command."""
    parser = argparse.ArgumentParser(prog="python -m proxyspec_server.adapters", description=__doc__.splitlines()[0])
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of installed servers")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    commands.add_parser("install").add_argument("server", metavar="NAME[@VERSION]")
    start = commands.add_parser("start")
    start.add_argument("server", metavar="NAME[@VERSION]")
    start.add_argument("--log", help="where the server's log goes")
    start.add_argument("--header-timeout", type=float, help="its header deadline, in seconds")
    start.add_argument("--host", action="append", help="a proxy to trust instead of 127.0.0.1; may be repeated")
    start.add_argument("--no-hosts", action="store_true", help="trust no proxy")
    options = parser.parse_args()
    cache = Cache(options.cache.expanduser().absolute())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        if options.command == "list":
            print(json.dumps(_list(cache)))
        elif options.command == "install":
            adapter, version = adapter_of(options.server)
            print(json.dumps({"name": adapter.name, "version": cache.install(adapter, version)}))
        else:
            _start(cache, options)
    except AdapterError as error:
        print(f"{options.server if 'server' in options else 'servers'}: {error}", file=sys.stderr)
        return 2 if isinstance(error, UnknownServer) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
