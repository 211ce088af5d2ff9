"""Searches for inputs that break the reference server, guided by the branches they take; needs the extra `fuzz`.

    python -m tests.fuzzing parser -max_total_time=300
    python -m tests.fuzzing session -max_total_time=300 -artifact_prefix=/tmp/

What follows the target's name is for libFuzzer (`-help=1` lists it); an input's path runs that input alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzzing.seeds import seeds

NAMES = ("parser", "session")


def main(arguments: list[str]) -> int:
    """Run one target until libFuzzer ends the process; return 2 where that cannot begin."""
    options = argparse.ArgumentParser(
        prog="python -m tests.fuzzing", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("target", choices=NAMES)
    chosen, rest = options.parse_known_args(arguments)
    try:
        import atheris  # type: ignore[import-untyped]
    except ImportError:
        print("tests.fuzzing needs atheris: pip install atheris, or the extra `fuzz`", file=sys.stderr)
        return 2
    with atheris.instrument_imports(include=["proxyspec_server"]):
        from tests.fuzzing.targets import TARGETS
    with tempfile.TemporaryDirectory(prefix="proxyspec-fuzzing-") as folder:
        for number, seed in enumerate(seeds()):
            Path(folder, f"{number:05}").write_bytes(seed)
        single = [one for one in rest if not one.startswith("-") and Path(one).is_file()]
        # libFuzzer adds what it finds to the first corpus; ours goes when the search is over.
        atheris.Setup([sys.argv[0], *rest, *([] if single else [folder])], TARGETS[chosen.target])
        atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
