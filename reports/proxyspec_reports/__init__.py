"""Run records turned into what people and CI systems read: `render_html(view(records))`, `render_junit(records)`, …"""

from proxyspec_reports.attachment import Attachment
from proxyspec_reports.hexdump import Annotate, Annotation
from proxyspec_reports.html import render_html
from proxyspec_reports.junit import render_junit
from proxyspec_reports.markdown import render_markdown
from proxyspec_reports.tap import render_tap
from proxyspec_reports.view import ReportView, view

__all__ = [
    "Annotate",
    "Annotation",
    "Attachment",
    "ReportView",
    "render_html",
    "render_junit",
    "render_markdown",
    "render_tap",
    "view",
]
