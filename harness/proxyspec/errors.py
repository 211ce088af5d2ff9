"""What the command line tells its caller: exit codes and the errors that carry one.

ProxyspecError
├── UsageError     2   the command line or a configuration is wrong
└── HarnessError   4   the harness itself failed
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

__all__ = ["ExitCode", "HarnessError", "ProxyspecError", "UsageError", "joint_exit_code"]


class ExitCode(enum.IntEnum):
    """Exit codes, as the README lists them."""

    OK = 0
    #: An unexpected FAIL or UNTESTABLE, a missed load threshold.
    FAILED = 1
    #: Usage or configuration.
    USAGE = 2
    #: The target cannot be judged.
    UNJUDGEABLE = 3
    #: The harness itself failed.
    HARNESS = 4
    #: Nothing was selected, or nothing judged.
    NOTHING = 5
    #: Interrupted; what was measured so far is written.
    INTERRUPTED = 130


#: Which of several runs' exit codes counts, the first that occurs; `NOTHING` only if it is every run's.
_ORDER = (
    ExitCode.INTERRUPTED,
    ExitCode.USAGE,
    ExitCode.HARNESS,
    ExitCode.UNJUDGEABLE,
    ExitCode.FAILED,
    ExitCode.OK,
    ExitCode.NOTHING,
)


def joint_exit_code(codes: Sequence[ExitCode]) -> ExitCode:
    """Return the exit code of several runs; without any there was nothing."""
    return min(codes, key=_ORDER.index, default=ExitCode.NOTHING)


class ProxyspecError(Exception):
    """Base of all errors shown to the user: the message names the input, the place and the remedy."""

    code = ExitCode.HARNESS


class UsageError(ProxyspecError):
    """The command line or a configuration is wrong."""

    code = ExitCode.USAGE


class HarnessError(ProxyspecError):
    """The harness itself failed."""
