"""Plays `proxyspec` for the blocks of the documentation: what a reader lets run for a minute is cut to a second."""

from __future__ import annotations

import re
import sys

from proxyspec.cli import main

#: What a run leaves out when the reader named nothing: the whole catalogue takes its time, and has its own tests.
SELECTIONS = ("--case", "--case-file", "--section", "--level", "--tag")
SHORT = ("--case", "v1/tcp4", "--case", "v2/tcp4/ok")
#: Seconds; the header deadline of the servers that the test has started.
DEADLINE = "3"


def _given(arguments: list[str], option: str, value: str) -> list[str]:
    """Return the arguments with `option` set to `value`, in place of what they say of it."""
    if option not in arguments:
        return [*arguments, option, value]
    place = arguments.index(option)
    return [*arguments[: place + 1], value, *arguments[place + 2 :]]


def shortened(arguments: list[str]) -> list[str]:
    """Return the arguments, cut short."""
    command = arguments[0] if arguments else ""
    if "--list" in arguments:
        return arguments
    selects = any(word.split("=")[0] in SELECTIONS for word in arguments)
    match command:
        case "run":
            # A target profile says its deadline itself.
            timed = arguments if "target.toml" in arguments else _given(arguments, "--header-timeout", DEADLINE)
            return timed if selects else [*timed, *SHORT]
        case "mutants" if not selects:
            return [*arguments, "--defect", "v1-port-wraps-16", "--case", "v1/port/65536"]
        case "load":
            # What a machine in the middle of its tests can carry is no matter of the documents.
            patient = [re.sub(r"< [\d.]+m?s$", "< 600s", word) for word in arguments]
            return [*_given(patient, "--time", "1s"), "--users", "2", "--expect", "p95(session) < 600s"]
        case "fuzz":
            return _given(_given(arguments, "--time", "1s"), "--header-timeout", DEADLINE)
    return arguments


if __name__ == "__main__":
    sys.exit(main(shortened(sys.argv[1:])))
