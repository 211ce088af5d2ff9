"""Run records turned into pages people read: `render_html(view(records))`."""

from proxyspec_reports.hexdump import Annotate, Annotation
from proxyspec_reports.html import render_html
from proxyspec_reports.view import ReportView, view

__all__ = ["Annotate", "Annotation", "ReportView", "render_html", "view"]
