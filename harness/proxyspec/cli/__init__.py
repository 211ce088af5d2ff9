"""The command line: the composition root, which alone may import every room (and does so when a command needs it)."""

import sys

# Nothing else is imported before `main` can answer Ctrl-C, not even `typing`; type checkers take this as its constant.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

#: `ExitCode.INTERRUPTED`, which is not there yet when an interruption comes that early.
_INTERRUPTED = 130


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Run the command line and return its exit code; without `arguments` it is all that the process has to do."""
    try:
        from proxyspec.interruption import ignored, interrupting

        # A plain `kill` cleans up as Ctrl-C does.
        with interrupting():
            try:
                from proxyspec.cli.program import main as program

                return program(arguments)
            finally:
                if arguments is None:
                    ignored()
    except KeyboardInterrupt:
        print("proxyspec: interrupted", file=sys.stderr)
        return _INTERRUPTED
