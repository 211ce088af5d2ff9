"""Run as a script: become a command that gets SIGTERM when the thread that started it ends, however it ends.

    python -I -S leash.py PARENT_PID COMMAND [ARGUMENT...]

HAProxy must not outlive a run that is killed with SIGKILL and cannot clean up. Linux sends the signal
(PR_SET_PDEATHSIG); the setting survives execve, so HAProxy's master keeps it through its own re-execution, and passes
the signal on to its workers. Doing this in a fresh interpreter, rather than between fork and exec, keeps Python code
out of a forked copy of a threaded process.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> NoReturn:
    """Set the signal, then execute the command; exit with 1 when the parent has ended already."""
    parent, command = int(arguments[0]), arguments[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        sys.stderr.write(f"[WARNING] no death signal for HAProxy: {os.strerror(ctypes.get_errno())}\n")
    if os.getppid() != parent:
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - exactly the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
