"""The options that say which profile and which seeded defect to run, and the lists of both."""

import argparse
import difflib
import json
import textwrap
from collections.abc import Mapping

from proxyspec_server.assembly import Assembly, assemble
from proxyspec_server.profile import STRICT
from proxyspec_server.profiles import PROFILES
from proxyspec_server.visible import visible

# The defects are imported only by those who ask for one: nobody else needs to wait for them.


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add `--profile`, `--defect` and the two lists."""
    parser.add_argument(
        "--profile",
        choices=list(PROFILES),
        default=STRICT.name,
        help="whose habits to have (default %(default)s); see --list-profiles",
    )
    parser.add_argument("--list-profiles", action="store_true", help="print the profiles and exit")
    parser.add_argument(
        "--defect", metavar="NAME", help="be wrong in one way, to see whether a test notices; see --list-defects"
    )
    parser.add_argument(
        "--list-defects", nargs="?", const="text", choices=["text", "json"], help="print the seeded defects and exit"
    )


def answer_lists(found: argparse.Namespace) -> bool:
    """Print the list asked for, if one is; returns whether that was so."""
    if found.list_profiles:
        print(profiles_as_text())
    if found.list_defects == "text":
        print(defects_as_text())
    if found.list_defects == "json":
        print(defects_as_json())
    return bool(found.list_profiles or found.list_defects)


def check_defect(parser: argparse.ArgumentParser, name: str | None) -> None:
    """End in a usage error for a defect that does not exist."""
    if name is None:
        return
    from proxyspec_server.defects import DEFECTS

    if name not in DEFECTS:
        close = difflib.get_close_matches(name, DEFECTS, n=3)
        remedy = f"did you mean {', '.join(close)}?" if close else "--list-defects shows them all"
        parser.error(f'there is no defect "{visible(name, 60)}"; {remedy}')


def selected(profile: str, defect: str | None) -> Assembly:
    """The parts of the server with this profile and, if one is named, this defect. Raises KeyError for other names."""
    if defect is None:
        return assemble(PROFILES[profile])
    from proxyspec_server.defects import DEFECTS

    return assemble(PROFILES[profile], DEFECTS[defect].override)


def profiles_as_text() -> str:
    """One line a profile."""
    return _columns({profile.name: profile.summary for profile in PROFILES.values()})


def defects_as_text() -> str:
    """One entry a defect: its name, what is wrong, where it comes from, what should notice."""
    from proxyspec_server.defects import DEFECTS

    return "\n".join(
        f"{defect.name}\n"
        + textwrap.indent(
            f"{defect.sentence}\norigin: {defect.origin}\nkilled by: {', '.join(defect.killed_by)}", "    "
        )
        for defect in DEFECTS.values()
    )


def defects_as_json() -> str:
    """A list of objects with `name`, `family`, `sentence`, `origin`, `killed_by`, `healthy` and `defective`."""
    from proxyspec_server.defects import DEFECTS

    return json.dumps(
        [
            {
                "name": defect.name,
                "family": defect.family,
                "sentence": defect.sentence,
                "origin": defect.origin,
                "killed_by": list(defect.killed_by),
                "healthy": defect.healthy,
                "defective": defect.defective,
            }
            for defect in DEFECTS.values()
        ],
        indent=2,
    )


def _columns(rows: Mapping[str, str]) -> str:
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {text}" for name, text in rows.items())
