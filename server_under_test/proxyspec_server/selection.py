"""The options that say which profile, seeded defect or allowed variation to run, and the lists of these."""

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
    """Add `--profile`, `--defect`, `--variation` and their lists."""
    parser.add_argument(
        "--profile",
        choices=list(PROFILES),
        default=STRICT.name,
        help="whose habits to have (default %(default)s); see --list-profiles",
    )
    parser.add_argument("--list-profiles", action="store_true", help="print the profiles and exit")
    different = parser.add_mutually_exclusive_group()
    different.add_argument(
        "--defect", metavar="NAME", help="be wrong in one way, to see whether a test notices; see --list-defects"
    )
    different.add_argument(
        "--variation",
        metavar="NAME",
        help="differ in one way that the text allows, to see whether a test objects; see --list-variations",
    )
    parser.add_argument(
        "--list-defects", nargs="?", const="text", choices=["text", "json"], help="print the seeded defects and exit"
    )
    parser.add_argument("--list-variations", action="store_true", help="print the allowed variations and exit")


def answer_lists(found: argparse.Namespace) -> bool:
    """Print the list asked for, if one is; returns whether that was so."""
    if found.list_profiles:
        print(profiles_as_text())
    if found.list_defects == "text":
        print(defects_as_text())
    if found.list_defects == "json":
        print(defects_as_json())
    if found.list_variations:
        print(variations_as_text())
    return bool(found.list_profiles or found.list_defects or found.list_variations)


def check_difference(parser: argparse.ArgumentParser, defect: str | None, variation: str | None) -> None:
    """End in a usage error for a defect or variation that does not exist."""
    if defect is None and variation is None:
        return
    from proxyspec_server.defects import DEFECTS, VARIATIONS

    for what, name, known in (("defect", defect, list(DEFECTS)), ("variation", variation, list(VARIATIONS))):
        if name is not None and name not in known:
            close = difflib.get_close_matches(name, known, n=3)
            remedy = f"did you mean {', '.join(close)}?" if close else f"--list-{what}s shows them all"
            parser.error(f'there is no {what} "{visible(name, 60)}"; {remedy}')


def selected(profile: str, defect: str | None = None, variation: str | None = None) -> Assembly:
    """The parts of the server with this profile and, if one is named, this defect or variation.

    Raises KeyError for other names.
    """
    if defect is None and variation is None:
        return assemble(PROFILES[profile])
    from proxyspec_server.defects import DEFECTS, VARIATIONS

    override = VARIATIONS[variation].override if variation is not None else DEFECTS[defect or ""].override
    return assemble(PROFILES[profile], override)


def profiles_as_text() -> str:
    """One line a profile."""
    return _columns({profile.name: profile.summary for profile in PROFILES.values()})


def variations_as_text() -> str:
    """One entry a variation: its name, what it does, what allows it."""
    from proxyspec_server.defects import VARIATIONS

    return "\n".join(
        f"{each.name}\n" + textwrap.indent(f"{each.sentence}\nallowed by {each.grounds}", "    ")
        for each in VARIATIONS.values()
    )


def defects_as_text() -> str:
    """One entry a defect: its name, what is wrong, where it comes from, what should notice."""
    from proxyspec_server.defects import DEFECTS

    return "\n".join(
        f"{defect.name}\n"
        + textwrap.indent(
            f"{defect.sentence}\norigin: {defect.origin}\n"
            + (f"killed by: {', '.join(defect.killed_by)}" if defect.killed_by else f"not seen: {defect.unseen}"),
            "    ",
        )
        for defect in DEFECTS.values()
    )


def defects_as_json() -> str:
    """A list of objects with `name`, `family`, `sentence`, `origin`, `killed_by`, `unseen`, `healthy`, `defective`."""
    from proxyspec_server.defects import DEFECTS

    return json.dumps(
        [
            {
                "name": defect.name,
                "family": defect.family,
                "sentence": defect.sentence,
                "origin": defect.origin,
                "killed_by": list(defect.killed_by),
                "unseen": defect.unseen,
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
