"""What the command line tells its caller: exit codes and the errors that carry one.

ProxyspecError
├── UsageError     2   the command line or a configuration is wrong
└── HarnessError   4   the harness itself failed
"""

from __future__ import annotations

import enum

__all__ = ["ExitCode", "HarnessError", "ProxyspecError", "UsageError"]


class ExitCode(enum.IntEnum):
    """Exit codes, as the README lists them; of several that apply the first in order of `exit_code_of` counts."""

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


class ProxyspecError(Exception):
    """Base of all errors shown to the user: the message names the input, the place and the remedy."""

    code = ExitCode.HARNESS


class UsageError(ProxyspecError):
    """The command line or a configuration is wrong."""

    code = ExitCode.USAGE


class HarnessError(ProxyspecError):
    """The harness itself failed."""
