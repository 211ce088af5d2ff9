"""The report as one HTML file that loads nothing, is whole without its script and depends on nothing but the view."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from proxyspec.model import Verdict
from proxyspec_reports import charts, figures
from proxyspec_reports.answer import Word
from proxyspec_reports.baseline import DISPOSITIONS
from proxyspec_reports.conformance import MEANINGS, PROBLEMS
from proxyspec_reports.load import PERCENTILES, Plot, Standing
from proxyspec_reports.matrix import LETTERS
from proxyspec_reports.view import ReportView

__all__ = ["render_html"]

#: Verdicts, answers and standings are told apart by shape as well as by colour: names in `_symbols.html.j2`.
_SHAPES: dict[Verdict | Word | Standing, str] = {
    Verdict.PASS: "pass",
    Verdict.FAIL: "fail",
    Verdict.WARN: "warn",
    Verdict.INFO: "info",
    Verdict.UNTESTABLE: "untestable",
    Verdict.SKIP: "skip",
    Verdict.ERROR: "error",
    Word.YES: "pass",
    Word.NO: "fail",
    Word.CANNOT_TELL: "untestable",
    Standing.MET: "pass",
    Standing.MISSED: "fail",
    Standing.UNMEASURED: "untestable",
}


def render_html(view: ReportView) -> str:
    """Render the report; the same view always gives the same text.

    The page's Content-Security-Policy forbids every request, and every style and script but its own, so that text of a
    server which slipped through could still neither load nor run anything.
    """
    css, script = _asset("report.css"), _asset("report.js")
    policy = (
        f"default-src 'none'; style-src {_digest(css)}; script-src {_digest(script)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    template = _environment().get_template("report.html.j2")
    # Sheet and script are our own files, without a closing tag in them: beside our own drawings the only text that is
    # not escaped.
    return template.render(report=view, css=Markup(css), js=Markup(script), policy=policy)  # noqa: S704


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}'"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("proxyspec_reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        bytes=figures.size,
        count=figures.count,
        duration=figures.duration,
        milliseconds=figures.milliseconds,
        rate=figures.rate,
        share=figures.share,
    )
    environment.globals.update(
        draw=_draw,
        labels=charts.labels,
        shapes=_SHAPES,
        letters=LETTERS,
        meanings=MEANINGS,
        disposition_meanings=DISPOSITIONS,
        problem_verdicts=PROBLEMS,
        percentile_names=tuple(PERCENTILES.values()),
    )
    return environment


def _draw(plot: Plot, anchor: str) -> Markup | None:
    drawing = charts.svg(plot, anchor)
    # ElementTree has escaped whatever text the drawing holds.
    return None if drawing is None else Markup(drawing)  # noqa: S704
