"""The user's own haproxy.cfg: read as HAProxy reads it, judged by rules, rewritten for a trial on loopback.

    files = [SourceFile("haproxy.cfg", text)]
    lint(files, [version], environment=os.environ).findings

Sans-IO: whoever calls reads the files and runs HAProxy. Nothing here raises for what is wrong in a file.
"""

from proxyspec_haproxy.config.document import Document, Place, SourceFile, Trouble, read_document
from proxyspec_haproxy.config.findings import Expected, Finding, Level
from proxyspec_haproxy.config.lint import Lint, lint
from proxyspec_haproxy.config.proxies import proxies_of
from proxyspec_haproxy.config.rewriting import Change, NeededFile, Rewritten
from proxyspec_haproxy.config.rules import RULES
from proxyspec_haproxy.config.standalone import findings_of_haproxy, standalone
from proxyspec_haproxy.config.trial import Plan, StandIn, TrialBind, on_loopback, plan
from proxyspec_haproxy.config.words import BadLine, Word, split_line

__all__ = [
    "RULES",
    "BadLine",
    "Change",
    "Document",
    "Expected",
    "Finding",
    "Level",
    "Lint",
    "NeededFile",
    "Place",
    "Plan",
    "Rewritten",
    "SourceFile",
    "StandIn",
    "TrialBind",
    "Trouble",
    "Word",
    "findings_of_haproxy",
    "lint",
    "on_loopback",
    "plan",
    "proxies_of",
    "read_document",
    "split_line",
    "standalone",
]
