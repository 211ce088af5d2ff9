"""The report as one HTML file that loads nothing, runs no script and depends on nothing but the view."""

from __future__ import annotations

import base64
import hashlib
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from proxyspec.model import Verdict
from proxyspec_reports import charts, figures
from proxyspec_reports.answer import Word
from proxyspec_reports.conformance import MEANINGS, PROBLEMS
from proxyspec_reports.load import PERCENTILES, Plot, Standing
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

    The page's Content-Security-Policy forbids every request and every style but its own sheet, so that text of a server
    which slipped through could still neither load nor run anything.
    """
    css = resources.files(__package__).joinpath("templates", "report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(css.encode()).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    template = _environment().get_template("report.html.j2")
    # The sheet is our own file, without a `<` in it: beside our own drawings the one text that is not escaped.
    return template.render(report=view, css=Markup(css), policy=policy)  # noqa: S704


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
        count=figures.count,
        duration=figures.duration,
        milliseconds=figures.milliseconds,
        rate=figures.rate,
        share=figures.share,
    )
    environment.globals.update(
        draw=_draw,
        shapes=_SHAPES,
        meanings=MEANINGS,
        problem_verdicts=PROBLEMS,
        percentile_names=tuple(PERCENTILES.values()),
    )
    return environment


def _draw(plot: Plot, anchor: str) -> Markup | None:
    drawing = charts.svg(plot, anchor)
    # ElementTree has escaped whatever text the drawing holds.
    return None if drawing is None else Markup(drawing)  # noqa: S704
