"""Several HAProxies in front of one target: a run behind each, the straight cases in the first alone."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from proxyspec.cli.run import RunOptions, run_target, selected_cases
from proxyspec.errors import ExitCode, UsageError, joint_exit_code
from proxyspec.model import Target, Via

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice

__all__ = ["judge_behind_each", "spec_of"]


def spec_of(choice: Choice) -> str:
    """Name the engine so that `--haproxy` takes the very same one again."""
    from proxyspec_haproxy import BinaryEngine, DockerEngine

    match choice.engine:
        case DockerEngine() as engine:
            return f"docker:{engine.image}"
        case BinaryEngine() as engine:
            return f"binary:{engine.path}"
        case engine:
            raise TypeError(f"{engine.describe()} has no name on the command line")


def _folders(choices: Sequence[Choice]) -> list[str]:
    """Return a folder's name for each, by release."""
    releases = [choice.engine.version().release for choice in choices]
    times = Counter(releases)
    return [
        f"haproxy-{release}" if times[release] == 1 else f"haproxy-{release}-{choice.name}-{number}"
        for number, (release, choice) in enumerate(zip(releases, choices, strict=True), 1)
    ]


def judge_behind_each(
    target: Target, out_dir: Path | None, options: RunOptions, specs: Sequence[str]
) -> tuple[ExitCode, list[Path]]:
    """Run the suite behind every HAProxy that `specs` name, one after the other; return exit code and run directories.

    The first run has all cases, the others those that go through HAProxy. Each leaves a directory of its own, named
    after the release, in `out_dir`.

    Raises:
        UsageError: as `judge_target`, or none of the HAProxies can be used here, or no case goes through one.
    """
    from proxyspec.haproxy.engines import named_engines
    from proxyspec.rundir import RunDirectory

    options.outputs.check(out_dir)
    if all(case.via in (Via.DIRECT, Via.PACKETS) for case in selected_cases(options)):
        raise UsageError("none of these cases goes through HAProxy: give one --haproxy, or none")
    choices = named_engines(specs, missing=lambda reason: print(f"proxyspec: left out: {reason}", file=sys.stderr))
    parent = RunDirectory.create("conformance", out_dir).path
    runs = []
    folders = []
    for number, (choice, name) in enumerate(zip(choices, _folders(choices), strict=True)):
        behind = replace(options, haproxy=spec_of(choice), straight=options.straight and number == 0)
        folders.append(parent / name)
        runs.append(run_target(target, folders[-1], behind)[0])
        if runs[-1].exit_code == ExitCode.INTERRUPTED:
            break
    options.outputs.write(*runs)
    return joint_exit_code([ExitCode(run.exit_code) for run in runs]), folders
