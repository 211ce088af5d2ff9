"""Mail servers that others have written, as processes: what there is, installing one, running one for a while."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from proxyspec.errors import ExitCode, HarnessError
from proxyspec.logs import last_lines

__all__ = [
    "Offer",
    "ServerFailed",
    "Started",
    "UnknownServer",
    "Wish",
    "end_of",
    "in_short",
    "install",
    "offers",
    "profile_text",
    "started",
]

_PROGRAM: Final = "proxyspec_server.adapters"
#: Its exit code where there is no such server.
_UNKNOWN: Final = 2
#: Seconds a server may take to listen (its own patience is shorter), an installation, and a server's end.
STARTING, INSTALLING, ENDING = 240.0, 3600.0, 30.0
#: Seconds until a server that has died is seen to have.
SEEN: Final = 1.0
#: Bytes of one line from the program.
_LINE: Final = 256 * 1024
_SHOWN: Final = 8000
#: Of a log that is shown: bytes, lines.
_TAIL, _LINES = 2000, 8
#: Characters of a reason that are kept, of its beginning and of its end.
_HEAD, _FOOT = 600, 900


class ServerFailed(HarnessError):
    """A server cannot be had, started or kept; its own last words are in the message."""


class UnknownServer(ServerFailed):
    """There is no such server."""

    code = ExitCode.USAGE


@dataclass(frozen=True, slots=True)
class Offer:
    """One server there is an adapter for; `obstacle` is why it cannot run here."""

    name: str
    summary: str
    origin: str
    version: str | None
    installed: str | None
    obstacle: str | None
    has_list: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Which server is to be started, and how.

    `hosts` are the proxies to trust, as addresses or CIDR ranges; None leaves 127.0.0.1, and nobody may be given.
    """

    server: str
    cache: Path | None = None
    log: Path | None = None
    header_timeout: float | None = None
    hosts: tuple[str, ...] | None = None


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: str
    host: str
    port: int
    pid: int
    log: str
    header_timeout: float
    versions: list[int]
    trusted: str | None
    untrusted: str
    oracle: str
    oracle_file: str | None
    oracle_pattern: str | None
    recipient: str | None
    mailbox: str
    capabilities: list[str]
    parallel: int


@dataclass(frozen=True, slots=True)
class Started:
    """A server that listens: who it is, and the keys of its target profile; `ended` waits until it has ended.

    `mailbox` is one it takes mail for.
    """

    name: str
    version: str
    pid: int
    log: Path
    mailbox: str
    profile: dict[str, Any] = field(hash=False)
    ended: Callable[[], Awaitable[object]] = field(repr=False)

    @property
    def label(self) -> str:
        """Software and version, for people."""
        return f"{self.name} {self.version}"

    async def has_ended(self) -> bool:
        """Tell whether it runs no more; its keeper gets the time to see that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SEEN):
                await self.ended()
                return True
        return False


def _command(cache: Path | None, *words: str) -> list[str]:
    where = [] if cache is None else ["--cache", str(cache)]
    return [sys.executable, "-m", _PROGRAM, *where, *words]


async def _ask(cache: Path | None, *words: str, patience: float) -> Any:
    process = await asyncio.create_subprocess_exec(
        *_command(cache, *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        said, complaint = await asyncio.wait_for(process.communicate(), patience)
    except TimeoutError as error:
        raise ServerFailed(f"{' '.join(words)} had not ended after {patience:.0f} s") from error
    finally:
        await _end(process)
    if process.returncode != 0:
        raise _failure(process, _words(complaint) or f"{' '.join(words)} failed without a word")
    return json.loads(said)


def _failure(process: asyncio.subprocess.Process, words: str) -> ServerFailed:
    return UnknownServer(words) if process.returncode == _UNKNOWN else ServerFailed(words)


def _words(complaint: bytes) -> str:
    return complaint[-_SHOWN:].decode("utf-8", "replace").strip()


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it and wait for that; who is cancelled meanwhile waits as well."""
    ending = asyncio.create_task(_ending(process))
    try:
        await asyncio.shield(ending)
    except asyncio.CancelledError:
        await ending
        raise


async def _ending(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(ENDING):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def offers(cache: Path | None = None) -> list[Offer]:
    """Return every server there is an adapter for.

    Raises:
        ServerFailed: the program that knows them does not answer.
    """
    return [Offer(**each) for each in await _ask(cache, "list", patience=STARTING)]


async def install(server: str, cache: Path | None = None) -> str:
    """Install NAME or NAME@VERSION unless it is there; return its version.

    Raises:
        UnknownServer: there is none of this name.
        ServerFailed: it cannot be had; the installer's own words are in the message.
    """
    return str((await _ask(cache, "install", server, patience=INSTALLING))["version"])


def _profile(told: _Told) -> dict[str, Any]:
    keys: dict[str, Any] = {"url": f"smtp://{told.host}:{told.port}", "name": f"{told.name} {told.version}"}
    facts = told.model_dump(exclude={"name", "version", "host", "port", "log", "mailbox"}, exclude_none=True)
    return keys | facts | {"crash_log": told.log}


@contextlib.asynccontextmanager
async def started(wish: Wish) -> AsyncIterator[Started]:
    """Run a server for the time of the context; it is installed first where it is missing.

    Raises:
        UnknownServer: there is none of this name.
        ServerFailed: it cannot be had, or does not start; its own last words are in the message.
    """
    words = ["start", wish.server]
    if wish.log is not None:
        words += ["--log", str(wish.log)]
    if wish.header_timeout is not None:
        words += ["--header-timeout", f"{wish.header_timeout:g}"]
    if wish.hosts is not None:
        words += [word for host in wish.hosts for word in ("--host", host)] or ["--no-hosts"]
    process = await asyncio.create_subprocess_exec(
        *_command(wish.cache, *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_LINE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    complaint = asyncio.create_task(process.stderr.read())
    try:
        try:
            async with asyncio.timeout(STARTING):
                line = await process.stdout.readline()
        except TimeoutError as error:
            raise ServerFailed(f"{wish.server} does not say that it listens, after {STARTING:.0f} s") from error
        if not line:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), ENDING)
            raise _failure(process, _words(await complaint) or f"{wish.server} ended without a word")
        try:
            told = _Told.model_validate_json(line)
        except ValidationError as error:
            raise ServerFailed(f"{wish.server} says something else than what it is: {error}") from error
        yield Started(told.name, told.version, told.pid, Path(told.log), told.mailbox, _profile(told), process.wait)
        if process.returncode is not None:
            raise ServerFailed(_words(await complaint) or f"{wish.server} ended without a word")
    finally:
        await _end(process)
        complaint.cancel()
        await asyncio.gather(complaint, return_exceptions=True)


def end_of(log: Path) -> str:
    """Return the last lines of a server's log as the end of a sentence; "" where there are none."""
    last = last_lines(log, _TAIL)[-_LINES:]
    return "; the end of its log: " + " | ".join(last) if last else ""


def in_short(reason: str) -> str:
    """Return a reason without its middle, if it is long: it begins with what happened, and ends with a log."""
    return reason if len(reason) <= _HEAD + _FOOT else f"{reason[:_HEAD]} […] {reason[-_FOOT:]}"


def profile_text(keys: dict[str, Any]) -> str:
    """Return a target profile with these keys as TOML."""
    return "[target]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in keys.items() if value is not None)


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case list() | tuple():
            return f"[{', '.join(_toml(each) for each in value)}]"
        case _:
            # A JSON string is a basic string of TOML.
            return json.dumps(str(value), ensure_ascii=False)
