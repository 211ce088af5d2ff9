"""The catalogue as tests of somebody's own pytest run: `pytest --proxyspec-target smtp://127.0.0.1:2525`.

One item a case. The first item that is run starts all of them in one wave, as `proxyspec run` does, so that the whole
catalogue takes about one header deadline; the others only look up their verdict. Without the option the plugin does
nothing, and nothing of proxyspec but this module is imported.
"""

from __future__ import annotations

import re
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from proxyspec.model import Case, Target
    from proxyspec.records import CaseRecord, ConformanceRun

__all__ = ["ProxyspecWarning", "pytest_addoption", "pytest_collection_modifyitems"]


#: The harness speaks of its own command line; here its options have a prefix.
_OPTION = re.compile(r"--(?=allow-target|case|header-timeout|trusted|untrusted|out\b)")


class ProxyspecWarning(pytest.PytestWarning):
    """The target broke a SHOULD."""


class _Failed(Exception):
    """A verdict that is none of the good ones; the message is the evidence."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options, all of which begin with `--proxyspec-`."""
    group = parser.getgroup("proxyspec", "PROXY protocol conformance of a mail server")
    group.addoption(
        "--proxyspec-target",
        metavar="URL",
        help="judge this server: smtp://HOST:PORT, or its profile (a .toml file); turns all of this on",
    )
    group.addoption(
        "--proxyspec-header-timeout",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="the header deadline it declares (default 30)",
    )
    group.addoption(
        "--proxyspec-case",
        metavar="ID|PREFIX|GLOB",
        action="append",
        default=[],
        help="only these cases and what they rest on; may be repeated",
    )
    group.addoption("--proxyspec-trusted", metavar="ADDRESS", help="local address it trusts to send PROXY")
    group.addoption("--proxyspec-untrusted", metavar="ADDRESS|none", help="local address it does not trust")
    group.addoption("--proxyspec-oracle", metavar="NAME", default="auto", help="what shows the address it believes")
    group.addoption(
        "--proxyspec-allow-target",
        metavar="CIDR",
        action="append",
        default=[],
        help="consent to a target that is not on this machine",
    )
    group.addoption("--proxyspec-out", metavar="DIR", type=Path, help="keep the run directory here")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Append one item a case, before anything is deselected by -k or -m."""
    if config.getoption("--proxyspec-target") is None:
        return
    from proxyspec.errors import ProxyspecError

    try:
        wave = _Wave(config)
    except ProxyspecError as error:
        raise pytest.UsageError(f"proxyspec: {_OPTION.sub('--proxyspec-', str(error))}") from error
    collector = _Catalogue.from_parent(session, name="proxyspec", nodeid="proxyspec")
    grouped = config.pluginmanager.hasplugin("xdist")
    for case in wave.cases:
        item = _CaseItem.from_parent(collector, name=case.id, case=case, wave=wave)
        if grouped:
            # With --dist loadgroup one worker runs the wave; each that gets an item would run its own otherwise.
            item.add_marker(pytest.mark.xdist_group("proxyspec"))
        items.append(item)


class _Catalogue(pytest.Collector):
    """Holds the items; what it would collect is already there."""

    def collect(self) -> Sequence[pytest.Item]:
        return ()


class _Wave:
    """The one run behind all items, made when the first verdict is asked for."""

    def __init__(self, config: pytest.Config) -> None:
        from proxyspec.cli.target import declared_target
        from proxyspec.errors import UsageError
        from proxyspec.model import Via
        from proxyspec.selection import Selection, select
        from proxyspec_scenarios import catalogue

        self.target: Target = declared_target(
            config.getoption("--proxyspec-target"),
            allow=config.getoption("--proxyspec-allow-target"),
            header_timeout=config.getoption("--proxyspec-header-timeout"),
            trusted=config.getoption("--proxyspec-trusted"),
            untrusted=config.getoption("--proxyspec-untrusted"),
            oracle=config.getoption("--proxyspec-oracle"),
        )
        self._out: Path | None = config.getoption("--proxyspec-out")
        self._catalogue = catalogue()
        patterns = config.getoption("--proxyspec-case")
        chosen = select(self._catalogue.cases, Selection(patterns))
        self.cases: tuple[Case, ...] = self._catalogue.with_prerequisites(
            case for case in chosen if case.via is Via.DIRECT
        )
        if not self.cases:
            raise UsageError("all of these cases go through HAProxy: use `proxyspec run --haproxy`")
        self._records: dict[str, CaseRecord] | None = None

    def record_of(self, case_id: str, session: pytest.Session) -> CaseRecord:
        """Return the verdict on a case, after running all that are still selected if that has not been done."""
        if self._records is None:
            wanted = {item.case.id for item in session.items if isinstance(item, _CaseItem) and item.wave is self}
            cases = self._catalogue.with_prerequisites(case for case in self.cases if case.id in wanted)
            run = self._judge(cases)
            # The run ends in order at Ctrl-C; pytest has to hear of it too.
            if run.status == "interrupted":
                raise KeyboardInterrupt
            self._records = {record.id: record for record in run.cases}
        return self._records[case_id]

    def _judge(self, cases: tuple[Case, ...]) -> ConformanceRun:
        from proxyspec.conformance import Listener, conformance, direct_roads, tls_road
        from proxyspec.rundir import RunDirectory
        from proxyspec.scheduler import Roads
        from proxyspec.targets import flags_of

        with tempfile.TemporaryDirectory(prefix="proxyspec-") as scratch:
            path = self._out if self._out is not None else Path(scratch)
            with RunDirectory.create("conformance", path) as out:
                roads = Roads(direct_roads(self.target), {}, tls=tls_road(self.target))
                return conformance(
                    self._catalogue,
                    cases,
                    self.target,
                    roads,
                    out,
                    Listener(),
                    command=["pytest", "--proxyspec-target", self.target.url],
                    reproduce=lambda case: f"proxyspec run {flags_of(self.target)} --case {case.id}",
                )


class _CaseItem(pytest.Item):
    """One case; its name is the case's id."""

    def __init__(self, *, case: Case, wave: _Wave, **rest: Any) -> None:
        super().__init__(**rest)
        self.case = case
        self.wave = wave

    def runtest(self) -> None:
        from proxyspec.errors import ProxyspecError
        from proxyspec.model import Verdict

        try:
            record = self.wave.record_of(self.case.id, self.session)
        except ProxyspecError as error:
            pytest.exit(f"proxyspec: {error}", returncode=int(error.code))
        match record.verdict:
            case Verdict.SKIP:
                pytest.skip(record.reason)
            case Verdict.WARN:
                warnings.warn(ProxyspecWarning(f"{record.id}: {record.reason}"), stacklevel=1)
            case Verdict.PASS | Verdict.INFO:
                self.add_report_section("call", "proxyspec", f"{record.verdict}: {record.reason}")
            case _:
                raise _Failed("\n".join(_evidence(record, self.wave)))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show the evidence instead of a traceback through this module."""
        if isinstance(excinfo.value, _Failed):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"proxyspec: {self.case.id}"


def _evidence(record: CaseRecord, wave: _Wave) -> list[str]:
    from proxyspec.conformance import target_record
    from proxyspec_reports.evidence import evidence_lines

    head = f"{record.verdict}: {record.reason}"
    if not record.events:
        return [head]
    return [head, *evidence_lines(record, target_record(wave.target, wave.target.oracle))]
