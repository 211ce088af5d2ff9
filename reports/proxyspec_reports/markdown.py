"""Runs as Markdown for people who read it in a CI system: a GitHub step summary, a merge request, a mail.

The tables and the folded details are GitHub's; elsewhere they read as text. All text of a server stands in code spans
or fenced blocks that it cannot leave.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from proxyspec.model import Verdict
from proxyspec.records import CaseRecord, ConformanceRun, LoadRun, Run, ScenarioRun
from proxyspec_reports.answer import answers
from proxyspec_reports.baseline import baseline_view, known_last
from proxyspec_reports.conformance import MEANINGS, PROBLEMS
from proxyspec_reports.evidence import evidence_lines
from proxyspec_reports.figures import count, duration
from proxyspec_reports.kinds import by_kind
from proxyspec_reports.printable import show

__all__ = ["MARKDOWN_LIMIT", "render_markdown"]

#: GitHub refuses a step summary above 1 MiB; evidence beyond this many bytes becomes a count.
MARKDOWN_LIMIT = 512 * 1024
#: Cases listed by name because they are fixed.
_MOST_FIXED = 20

_SIGNS = {
    Verdict.PASS: "✅",
    Verdict.FAIL: "❌",
    Verdict.WARN: "⚠️",
    Verdict.INFO: "ℹ️",
    Verdict.UNTESTABLE: "❓",
    Verdict.SKIP: "⏭️",
    Verdict.ERROR: "💥",
}


def render_markdown(runs: Sequence[Run]) -> str:
    """Return the document: the answer for each target or run of scenarios, then a section a run."""
    parts = ["# proxyspec", ""]
    for found in answers(runs):
        parts += [f"**{found.word.capitalize()}:** {_text(found.sentence)}", ""]
        parts += [*(f"- {_text(caveat)}" for caveat in found.caveats), *([""] if found.caveats else [])]
    if not runs:
        parts += ["No runs.", ""]
    spent = 0
    for run in runs:
        for part in by_kind(run, _conformance, _load, _scenario):
            spent += len(part.encode()) + 1
            if spent > MARKDOWN_LIMIT:
                return "\n".join([*parts, "", "… cut here: the run directory holds the rest."]) + "\n"
            parts.append(part)
    return "\n".join(parts).rstrip("\n") + "\n"


def _text(text: str, limit: int = 1000) -> str:
    """Escape text so that Markdown, and the HTML within it, show it as it is, on one line of a table."""
    entities = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
    escaped = re.sub(r"[\\`*_{}\[\]<>#!|~&@]", lambda m: entities.get(m[0], f"\\{m[0]}"), show(text, limit))
    # Neither a link nor an image of somebody else's server.
    return re.sub(r"\b(https?|www)(?=[:.])", r"\1&#8203;", escaped)


def _code(text: str, limit: int = 200) -> str:
    """Return a code span; a pipe would end a table's cell even there."""
    shown = show(text, limit).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def _block(lines: Sequence[str]) -> list[str]:
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]


def _head(run: Run) -> str:
    interrupted = ", interrupted" if run.status == "interrupted" else ""
    return f"{run.started:%Y-%m-%d %H:%M:%S}, {duration(run.duration)}{interrupted}, exit code {run.exit_code}."


def _conformance(run: ConformanceRun) -> Iterator[str]:
    yield f"## Conformance of {_text(run.target.url)}"
    yield ""
    yield _head(run)
    yield ""
    if run.unjudgeable is not None:
        yield f"**Cannot be judged:** {_text(run.unjudgeable)}"
        yield ""
    yield from _table(run)
    yield from _baseline(run)
    for verdict in PROBLEMS:
        chosen = [record for record in known_last(run.cases) if record.verdict is verdict]
        if chosen:
            yield f"### {_SIGNS[verdict]} {verdict}: {MEANINGS[verdict]}"
            yield ""
            yield from _problems(chosen, run)


def _table(run: ConformanceRun) -> Iterator[str]:
    verdicts = [verdict for verdict in MEANINGS if any(record.verdict is verdict for record in run.cases)]
    if not verdicts:
        return
    yield "| chapter | " + " | ".join(f"{_SIGNS[verdict]} {verdict}" for verdict in verdicts) + " |"
    yield "|---|" + "---:|" * len(verdicts)
    for chapter in dict.fromkeys(record.id.partition("/")[0] for record in run.cases):
        of_chapter = [record.verdict for record in run.cases if record.id.partition("/")[0] == chapter]
        yield f"| {_text(chapter)} | " + " | ".join(str(of_chapter.count(v) or "·") for v in verdicts) + " |"
    totals = [sum(record.verdict is verdict for record in run.cases) for verdict in verdicts]
    yield "| **all** | " + " | ".join(f"**{total}**" for total in totals) + " |"
    yield ""


def _baseline(run: ConformanceRun) -> Iterator[str]:
    found = baseline_view(run)
    if found is None:
        return
    yield f"Baseline {_code(found.path)}: {found.told}."
    yield ""
    if found.fixed:
        more = f" and {count(len(found.fixed) - _MOST_FIXED)} more" if len(found.fixed) > _MOST_FIXED else ""
        yield f"- **fixed:** {', '.join(map(_code, found.fixed[:_MOST_FIXED]))}{more}"
    for words in found.stale:
        yield f"- **stale:** {_text(words)}"
    if found.fixed or found.stale:
        yield ""


def _problems(records: Iterable[CaseRecord], run: ConformanceRun) -> Iterator[str]:
    for record in records:
        mark = f" ({record.disposition})" if record.disposition is not None else ""
        summary = f"<code>{_html(record.id, 200)}</code>{mark}: {_html(record.reason)}"
        block = "\n".join(_block(evidence_lines(record, run.target)))
        # In one piece, so that a document that is cut is cut between two of them.
        yield f"<details><summary>{summary}</summary>\n\n{block}\n\n</details>\n"


def _html(text: str, limit: int = 1000) -> str:
    return show(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _load(run: LoadRun) -> Iterator[str]:
    yield f"## Load on {_text(run.target.url)}: {_text(run.profile)}"
    yield ""
    yield _head(run)
    yield ""
    yield f"{count(run.sessions)} sessions, {count(run.failures)} failed, {run.rate:.1f} per second."
    yield ""
    if run.thresholds:
        yield "| threshold | measured | |"
        yield "|---|---:|---|"
        for threshold in run.thresholds:
            measured = "nothing" if threshold.actual is None else f"{threshold.actual:g}"
            unmet = "❓ not measured" if threshold.actual is None else "❌ missed"
            yield f"| {_code(threshold.expression)} | {measured} | {'✅ met' if threshold.met else unmet} |"
        yield ""
    if run.errors:
        yield "| step | error | times |"
        yield "|---|---|---:|"
        for error in run.errors[:20]:
            yield f"| {_text(error.step)} | {_code(error.error)} | {error.count} |"
        yield ""


def _scenario(run: ScenarioRun) -> Iterator[str]:
    yield f"## {_text(run.subject)}"
    yield ""
    yield _head(run)
    yield ""
    yield "| row | | why |"
    yield "|---|---|---|"
    for row in run.judged:
        yield f"| {_text(row.id)} | {_SIGNS[row.verdict]} {row.verdict} | {_text(row.reason)} |"
    yield ""
