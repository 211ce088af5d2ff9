"""Every command in the documents works: blocks of commands are run, everything else is at least parsed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from proxyspec.cli.program import app
from proxyspec.reference import reference_server

from .blocks import ROOT, Block, blocks_of, commands_of, documents, inline_commands

#: Typer brings click's exceptions under a name that differs by version.
_CommandLineError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
BLOCKS = [block for path in documents() for block in blocks_of(path)]
RUN = [block for block in BLOCKS if block.is_run]
#: Seconds a block may take, on a machine that is busy with other tests.
PATIENCE = 180
#: The servers the documents name, and what makes them differ.
SERVERS = {"127.0.0.1:2525": [], "127.0.0.1:2526": ["--defect", "v1-port-wraps-16"]}
#: Options that act as soon as they are parsed: parsing is not to change anybody's shell.
EAGER = ("--help", "--version", "--install-completion", "--show-completion")
#: Seconds; the shortest the text recommends.
DEADLINE = "3"
#: A server of two, one of which a health check takes for another.
HAPROXY_CFG = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 5m
    timeout server 5m

listen smtp
    bind :25
    option smtpchk
    server mx1 192.0.2.11:25 send-proxy check inter 1s
"""
TARGET = """\
[target]
url = "smtp://{server}"
header_timeout = {deadline}
"""
BASELINE = """\
[[entry]]
case = "v1/port/65536"
kind = "flaky"
reason = "an example"
"""
CASE_FILE = """\
[[cases]]
id = "mine/leading-zero"
title = "A port with a leading zero is refused"
section = "2.1"
send = "50524f585920 54435034 20 3139322e302e322e31 20 3139322e302e322e32 20 3031313131 20 3235 0d0a"
accepts = [{ kind = "rejected-silent" }, { kind = "rejected-reply" }]
"""


def parsed(arguments: list[str]) -> list[str]:
    """Parse a command line without running it; return the path of the command that it names."""
    command: Any = typer.main.get_command(app)
    arguments = [word for word in arguments if word not in EAGER]
    context = None
    path: list[str] = []
    if not arguments or arguments[0] == "test":  # the launcher's own word, in a checkout
        return path
    while True:
        context = command.make_context("proxyspec", list(arguments), parent=context)
        rest = [*getattr(context, "_protected_args", []), *context.args]
        if not hasattr(command, "commands") or not rest:
            return path
        name, command, arguments = command.resolve_command(context, rest)
        path.append(name)


@dataclass(frozen=True, slots=True)
class Desk:
    """A reader's place: our programs on PATH, and HOST:PORT of the servers that stand for those the documents name."""

    environment: dict[str, str]
    servers: dict[str, str]

    def run(self, script: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a script as a reader would paste it."""
        script = script.replace("./proxyspec ", "proxyspec ")
        for documented, server in self.servers.items():
            script = script.replace(documented, server)
        command = ["bash", "-euo", "pipefail", "-c", script]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        with process:
            try:
                out, errors = process.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                # The whole session, gently: what a command has started it stops itself.
                os.killpg(process.pid, signal.SIGTERM)
                out, errors = process.communicate()
                pytest.fail(f"no end within {PATIENCE} s:\n{script}{out}{errors}", pytrace=False)
        return subprocess.CompletedProcess(command, process.returncode, out, errors)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    programs = folder / "bin"
    programs.mkdir()
    reader = Path(__file__).with_name("reader.py")
    for name, runs in (("proxyspec", f'"{reader}"'), ("pytest", "-m pytest -p no:cacheprovider")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {runs} "$@"\n')
        (programs / name).chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "PYTEST_"))}
    # A home of its own: no command of a document reaches the user's files.
    home = folder / "home"
    home.mkdir()
    environment |= {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache"), "XDG_CONFIG_HOME": str(home / "config")}
    environment |= {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    with ExitStack() as running:
        servers = {}
        for documented, arguments in SERVERS.items():
            journal = folder / f"{documented.replace(':', '-')}.ndjson"
            host, port = running.enter_context(
                reference_server(["--trust", "127.0.0.1", "--header-timeout", DEADLINE, *arguments], journal)
            )
            servers[documented] = f"{host}:{port}"
        yield Desk(environment, servers)


@pytest.fixture(scope="session")
def old_run(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of yesterday, for what looks at old ones."""
    folder = tmp_path_factory.mktemp("old")
    done = desk.run("proxyspec run smtp://127.0.0.1:2525 --case v1/port/65536 --out run", folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def lay_out(folder: Path, block: Block, server: str, old_run: Path) -> None:
    """Put the files that the documents name where the commands look for them, but for a run that the block makes."""
    (folder / "haproxy.cfg").write_text(HAPROXY_CFG)
    (folder / "target.toml").write_text(TARGET.format(server=server, deadline=DEADLINE))
    (folder / "known.toml").write_text(BASELINE)
    (folder / "mine.toml").write_text(CASE_FILE)
    out = folder / "reports" / "out"
    out.mkdir(parents=True)
    for name in ("monday", "tuesday", "tour"):
        if f"--out reports/out/{name}" not in block.text:
            (out / name).symlink_to(old_run)


def test_there_is_something_to_check() -> None:
    assert len(RUN) > 15
    assert sum(block.language == "sh" for block in BLOCKS) > 30


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_marks_are_understood(block: Block) -> None:
    known = ("not run: ", "exits ", "exact")
    assert not block.mark or block.mark.startswith(known), f"{block.place}: no such mark: {block.mark}"


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_is_one(path: Path) -> None:
    wrong = []
    found = [(block.line, arguments) for block in blocks_of(path) for arguments in commands_of(block.text)]
    for line, arguments in [*found, *inline_commands(path)]:
        # "proxyspec run" alone names the command; so does one whose arguments are left to the reader.
        named = [word for word in arguments if word != "…"]
        try:
            parsed(named)
        except _CommandLineError as error:
            if "Missing" not in str(error):
                wrong.append(f"{path.name}:{line}: proxyspec {' '.join(arguments)}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("block", RUN, ids=lambda block: block.place)
def test_blocks_run(block: Block, desk: Desk, old_run: Path, tmp_path: Path) -> None:
    lay_out(tmp_path, block, desk.servers["127.0.0.1:2525"], old_run)
    done = desk.run(block.text, tmp_path)
    assert done.returncode == block.exit_code, f"{block.place}\n{done.stdout}{done.stderr}"
    following = BLOCKS[BLOCKS.index(block) + 1 :]
    if following and following[0].mark == "exact":
        assert [line.rstrip() for line in done.stdout.splitlines()] == following[0].text.splitlines(), block.place
