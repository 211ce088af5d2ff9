"""The reference part of the documentation, made from the code while MkDocs builds (a hook, see mkdocs.yml).

`python tools/reference.py DIR` writes the same pages as plain Markdown.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

    from proxyspec.model import Case

ROOT = Path(__file__).resolve().parent.parent
#: Bytes of what a case sends that are shown; `proxyspec explain` shows all of them.
SHOWN = 72
#: Columns of a command's help.
WIDTH = 100


def _cell(text: str) -> str:
    """Return text as it can stand in a table: one line, nothing of it markup."""
    text = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def _code(text: str) -> str:
    """Return text as code in a table."""
    return f"<code>{text.replace('&', '&amp;').replace('<', '&lt;').replace('|', '&#124;')}</code>" if text else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


#: Leaves the site's outline out, for pages that are one wide table.
_WIDE = "---\nhide: [toc]\n---\n\n"


def _page(title: str, said: str, *parts: str) -> str:
    return "\n".join([f"# {title}\n", f"{said}\n", *parts])


def commands() -> str:
    """Every command's help, as the command prints it."""
    import typer.main
    from typer.testing import CliRunner

    from proxyspec.cli.program import app

    runner = CliRunner(env={"COLUMNS": str(WIDTH), "NO_COLOR": "1"})

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        said = runner.invoke(app, [*path, "--help"], terminal_width=WIDTH, catch_exceptions=False).output
        yield f"## {' '.join(('proxyspec', *path))}\n\n```text\n{said.strip()}\n```\n"
        for name, sub in getattr(command, "commands", {}).items():
            yield from walk(sub, (*path, name))

    return _page("Commands", "What `--help` says of each.", *walk(typer.main.get_command(app), ()))


def exit_codes() -> str:
    """The codes in general, then what each command says of its own."""
    import typer.main

    from proxyspec import errors
    from proxyspec.cli.program import app

    meanings: dict[str, str] = {}
    said: list[str] = []
    for line in inspect.getsource(errors.ExitCode).splitlines():
        if comment := re.match(r"\s+#: (.*)", line):
            said.append(comment[1])
        elif member := re.match(r"\s+([A-Z]+) = ", line):
            meanings[member[1]] = " ".join(said)
            said = []
    rows = [(str(int(code)), _cell(meanings[code.name] or "All is as it should be.")) for code in errors.ExitCode]

    def own(command: Any, path: str) -> Iterator[tuple[str, str]]:
        if found := re.search(r"Exit codes: (.*?)(?:\n\s*\n|\Z)", command.help or "", re.DOTALL):
            yield f"`{path}`", _cell(found[1])
        for name, sub in getattr(command, "commands", {}).items():
            yield from own(sub, f"{path} {name}")

    return _page(
        "Exit codes",
        "Of several that apply, the first of 130, 2, 4, 3, 5, 1 counts.",
        _table(("code", "meaning"), rows),
        "## By command\n",
        _table(("command", "exit codes"), own(typer.main.get_command(app), "proxyspec")),
    )


def _sent(case: Case) -> str:
    """The first bytes of a case: as text where all can be read, else in hexadecimal."""
    data = case.header
    if not data:
        return ""
    head = data[:SHOWN]
    readable = all(32 <= byte < 127 or byte in b"\r\n" for byte in head)
    shown = repr(head)[2:-1] if readable else head.hex(" ")
    return _code(shown + (f" … {len(data)} bytes" if len(data) > SHOWN else ""))


@cache
def chapters() -> dict[str, str]:
    """A page a chapter of the catalogue, by chapter."""
    from proxyspec_scenarios import catalogue

    found: dict[str, list[Case]] = {}
    for case in catalogue().cases:
        found.setdefault(case.id.partition("/")[0], []).append(case)
    pages = {}
    for chapter, cases in sorted(found.items()):
        rows = [
            (
                f"{_code(case.id)}<br>{_cell(case.title)}",
                f"{case.section}<br>{case.level}",
                _sent(case),
                _cell(" or ".join(dict.fromkeys(str(accept) for accept in case.accept))),
                "<br>".join(map(_code, case.requirements)),
            )
            for case in cases
        ]
        said = f"{len(cases)} cases. `proxyspec explain CASE` shows every step and every field of one."
        table = _table(("case", "section, level", "sent first", "conforms", "requirements"), rows)
        pages[chapter] = _WIDE + _page(f"Cases: {chapter}", said, table)
    return pages


def requirements() -> str:
    """Every rule, and the cases that test it or the reason why none does."""
    from proxyspec_scenarios import catalogue
    from proxyspec_scenarios.requirements import REQUIREMENTS, coverage

    covered = coverage(catalogue().cases)

    def tested(name: str, untested: str | None) -> str:
        cases = covered[name]
        if not cases:
            return f"none: {_cell(untested or '')}"
        return ", ".join(map(_code, cases[:3])) + (f" and {len(cases) - 3} more" if len(cases) > 3 else "")

    rows = [
        (
            _code(rule.id),
            f"{rule.section}<br>{rule.level}",
            _cell(rule.sentence),
            tested(rule.id, rule.untested),
        )
        for rule in REQUIREMENTS
    ]
    said = (
        "The rules the cases test, in our words. Sections are those of the PROXY protocol text unless an RFC is named."
    )
    return _WIDE + _page("Requirements", said, _table(("requirement", "section, level", "rule", "cases"), rows))


def defects() -> str:
    """What the reference server can do wrong, and what it can do differently without being wrong."""
    from proxyspec_server.defects import DEFECTS, VARIATIONS

    seeded = [
        (
            _code(defect.name),
            _cell(defect.sentence),
            _cell(defect.origin),
            ", ".join(map(_code, defect.killed_by)) or _cell(defect.unseen),
        )
        for defect in DEFECTS.values()
    ]
    allowed = [(_code(name), _cell(each.sentence), _cell(each.grounds)) for name, each in VARIATIONS.items()]
    return _WIDE + _page(
        "Defects and variations",
        f"`proxyspec serve --defect NAME` is wrong in one of {len(seeded)} ways; `--variation NAME` differs in one of "
        f"{len(allowed)} ways that the text allows. `proxyspec mutants` checks that the cases tell them apart.",
        "## Defects\n",
        _table(("defect", "what is wrong", "where it comes from", "killed by, among others"), seeded),
        "## Variations\n",
        _table(("variation", "what differs", "grounds"), allowed),
    )


def _default(field: Any) -> str:
    if field.default is not MISSING:
        return _code(str(field.default) if not isinstance(field.default, str) else field.default or '""')
    if field.default_factory is not MISSING:
        made = field.default_factory()
        return "defaults" if is_dataclass(made) else _code(str(made))
    return "required"


def templates() -> str:
    """The templates of haproxy.cfg, the variables each is given, and what the variables are made of."""
    from proxyspec_haproxy import topology
    from proxyspec_haproxy.version import FEATURES

    def described(kind: type) -> str:
        rows = [(_code(field.name), _code(str(field.type)), _default(field)) for field in fields(kind)]
        return f"{inspect.getdoc(kind)}\n\n{_table(('variable', 'type', 'default'), rows)}"

    tops = get_args(topology.Topology)
    parts = [f"## {kind.template}\n\n`topology.{kind.__name__}`: {described(kind)}" for kind in tops]
    others = [
        kind
        for _, kind in inspect.getmembers(topology, inspect.isclass)
        if kind.__module__ == topology.__name__ and is_dataclass(kind) and kind not in tops
    ]
    parts += [f"## topology.{kind.__name__}\n\n{described(kind)}" for kind in others]
    gates = [(_code(name), f"{major}.{minor}") for name, (major, minor) in FEATURES.items()]
    parts.append(
        f"## Version gates\n\nWhat a release lacks is refused before it starts.\n\n"
        f"{_table(('feature', 'from HAProxy'), gates)}"
    )
    said = (
        "A template is rendered with the fields of its topology as variables. `--haproxy-templates DIR` names a folder "
        "whose templates go before the built-in ones; one that extends the built-in file changes only its blocks."
    )
    return _page("HAProxy templates", said, *parts)


def _type_of(schema: Mapping[str, Any], titles: Mapping[str, str]) -> str:
    if "$ref" in schema:
        title = titles[str(schema["$ref"]).rpartition("/")[2]]
        return f"[{title}](#{re.sub(r'[^a-z0-9_]+', '-', title.lower()).strip('-')})"
    if "anyOf" in schema:
        return " or ".join(_type_of(each, titles) for each in schema["anyOf"])
    if "const" in schema:
        return _code(json.dumps(schema["const"]))
    if "enum" in schema:
        return ", ".join(_code(str(each)) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"array of {_type_of(schema.get('items', {}), titles)}"
    return str(schema.get("type", "any"))


def _titles(names: Iterable[str]) -> dict[str, str]:
    """Return a heading a record; those of one name in several modules, which pydantic gives long names, say which."""
    return {name: " of ".join(reversed(name.split("__")[-2:])) for name in names}


def run_record() -> str:
    """Every kind of run.json and every record in it."""
    from proxyspec.records import run_schema

    records = json.loads(run_schema())["$defs"]
    titles = _titles(records)

    def parts() -> Iterator[str]:
        for name, record in sorted(records.items(), key=lambda item: (not item[0].endswith("Run"), item[0])):
            head = f"## {titles[name]}\n\n{_cell(record.get('description', ''))}\n\n"
            if "properties" not in record:
                yield f"{head}One of {_type_of(record, titles)}.\n"
                continue
            rows = [
                (_code(key), _type_of(value, titles), _cell(value.get("description", "")))
                for key, value in record["properties"].items()
            ]
            yield head + _table(("field", "type", "meaning"), rows)

    said = "`run.json` of a run directory. `proxyspec schema` prints the JSON Schema that this page is made from."
    return _page("Run record", said, *parts())


def load_profiles() -> str:
    """The load profiles there are, each with its docstring."""
    import ast

    from proxyspec.load.profiles import profiles_in

    parts = []
    for profile in profiles_in(ROOT / "scenarios" / "proxyspec_scenarios" / "load"):
        said = ast.get_docstring(ast.parse(profile.path.read_text(encoding="utf-8"))) or ""
        parts.append(f"## {profile.name}\n\n{said}\n")
    return _page("Load profiles", "`proxyspec load TARGET --profile NAME` takes one of these.", *parts)


def pages() -> dict[str, str]:
    """Return every page of the reference, by its path below docs/."""
    found = {
        "reference/commands.md": commands(),
        "reference/exit-codes.md": exit_codes(),
        "reference/requirements.md": requirements(),
        "reference/defects.md": defects(),
        "reference/templates.md": templates(),
        "reference/load-profiles.md": load_profiles(),
        "reference/run-record.md": run_record(),
    }
    for chapter, page in chapters().items():
        found[f"reference/cases/{chapter}.md"] = page
    return found


def _sited(text: str) -> str:
    """Point the links of a document at the root to where its pages are on the site."""
    return re.sub(r"\]\(docs/", "](", text)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Name the chapters of the catalogue in the navigation."""
    for entry in _entries(config.nav):
        if entry.get("Cases") == []:
            entry["Cases"] = [f"reference/cases/{chapter}.md" for chapter in chapters()]
    return config


def _entries(nav: Any) -> Iterator[dict[str, Any]]:
    """Yield every named entry of a navigation, those within sections too."""
    for entry in nav or ():
        if isinstance(entry, dict):
            yield entry
            for below in entry.values():
                yield from _entries(below if isinstance(below, list) else ())


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the reference, and the documents that live at the root, to what MkDocs builds."""
    from mkdocs.structure.files import File

    made = pages()
    for name in ("CONTRIBUTING", "CHANGELOG"):
        made[f"{name.lower()}.md"] = _sited((ROOT / f"{name}.md").read_text(encoding="utf-8"))
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def main(arguments: Sequence[str]) -> int:
    """Write the reference below a folder."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python tools/reference.py DIR", file=sys.stderr)
        return 2
    for path, text in pages().items():
        file = Path(arguments[0]) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
