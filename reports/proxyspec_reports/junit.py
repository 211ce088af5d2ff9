"""Runs as JUnit XML, which every CI system reads: a suite a run, a test a case or threshold.

JUnit knows passed, failed, error and skipped. What counts against the target fails; ERROR is an error; SKIP and
failures a baseline describes are skipped with the reason; INFO and a WARN that does not count pass, with their words
as output.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from proxyspec.model import Disposition, Verdict
from proxyspec.records import CaseRecord, ConformanceRun, JudgedRecord, LoadRun, Run, ScenarioRun, Threshold
from proxyspec_reports.evidence import evidence_lines
from proxyspec_reports.kinds import by_kind
from proxyspec_reports.printable import show

__all__ = ["render_junit"]


def render_junit(runs: Sequence[Run]) -> str:
    """Return the XML document, with a declaration and a line end; text of a server has no control characters in it."""
    suites = [by_kind(run, _conformance, _load, _scenario) for run in runs]
    root = ET.Element("testsuites", {"name": "proxyspec", **_sums(suites)})
    root.extend(suites)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _sums(suites: Sequence[ET.Element]) -> dict[str, str]:
    counts = {name: str(sum(int(suite.get(name, "0")) for suite in suites)) for name in _COUNTED}
    return {**counts, "time": _seconds(sum(float(suite.get("time", "0")) for suite in suites))}


_COUNTED = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _suite(run: Run, tests: Sequence[ET.Element]) -> ET.Element:
    particular: dict[str, str] = {}
    if isinstance(run, ScenarioRun):
        name = show(run.subject, 200)
    else:
        name = f"{run.kind} {show(run.target.url, 200)}"
        particular = {"oracle": run.target.oracle, "header_timeout": f"{run.target.header_timeout:g}"}
    suite = ET.Element("testsuite", {"name": name})
    for name, element in _COUNTED.items():
        found = len(tests) if element == "testcase" else sum(test.find(element) is not None for test in tests)
        suite.set(name, str(found))
    suite.set("time", _seconds(run.duration))
    suite.set("timestamp", run.started.isoformat(timespec="seconds"))
    properties = ET.SubElement(suite, "properties")
    for name, value in {
        "run": run.id,
        "status": run.status,
        "exit_code": str(run.exit_code),
        **particular,
        "proxyspec": run.environment.proxyspec,
    }.items():
        ET.SubElement(properties, "property", {"name": name, "value": show(value, 200)})
    suite.extend(tests)
    return suite


def _test(classname: str, name: str, seconds: float = 0.0) -> ET.Element:
    return ET.Element("testcase", {"classname": classname, "name": show(name, 200), "time": _seconds(seconds)})


def _test_of(name: str, seconds: float = 0.0) -> ET.Element:
    """Return the test of a case or a row, in the class that its id names."""
    group = show(name, 200).rpartition("/")[0].replace("/", ".")
    return _test(f"proxyspec.{group}" if group else "proxyspec", name, seconds)


def _note(test: ET.Element, element: str, message: str, kind: str, text: str = "") -> None:
    ET.SubElement(test, element, {"type": kind, "message": show(message, 1000)}).text = text


def _conformance(run: ConformanceRun) -> ET.Element:
    tests = [_case(record, run) for record in run.cases]
    if run.unjudgeable is not None:
        test = _test("proxyspec", "the target can be judged")
        _note(test, "error", run.unjudgeable, "unjudgeable")
        tests.insert(0, test)
    for words in run.baseline.stale if run.baseline is not None else ():
        test = _test("proxyspec.baseline", words.partition(":")[0])
        _note(test, "failure", words, "stale")
        tests.append(test)
    return _suite(run, tests)


def _case(record: CaseRecord, run: ConformanceRun) -> ET.Element:
    test = _test_of(record.id, record.duration)
    evidence = "\n".join(evidence_lines(record, run.target))
    if record.verdict is Verdict.ERROR:
        _note(test, "error", record.reason, record.verdict, evidence)
    elif record.fails(strict=run.strict):
        words = f"{record.reason} ({record.disposition})" if record.disposition is not None else record.reason
        _note(test, "failure", words, record.verdict, evidence)
    elif record.verdict is Verdict.SKIP or record.disposition is Disposition.KNOWN:
        words = f"known: {record.reason}" if record.disposition is not None else record.reason
        _note(test, "skipped", words, record.verdict)
    elif record.verdict is not Verdict.PASS:
        ET.SubElement(test, "system-out").text = show(f"{record.verdict}: {record.reason}", 1000)
    return test


def _scenario(run: ScenarioRun) -> ET.Element:
    return _suite(run, [_row(row) for row in run.judged])


def _row(row: JudgedRecord) -> ET.Element:
    test = _test_of(row.id)
    if row.verdict is Verdict.ERROR:
        _note(test, "error", row.reason, row.verdict)
    elif row.verdict in (Verdict.FAIL, Verdict.UNTESTABLE):
        _note(test, "failure", row.reason, row.verdict)
    elif row.verdict is Verdict.SKIP:
        _note(test, "skipped", row.reason, row.verdict)
    elif row.verdict is not Verdict.PASS:
        ET.SubElement(test, "system-out").text = show(f"{row.verdict}: {row.reason}", 1000)
    return test


def _load(run: LoadRun) -> ET.Element:
    return _suite(run, [_threshold(threshold, run) for threshold in run.thresholds])


def _threshold(threshold: Threshold, run: LoadRun) -> ET.Element:
    test = _test(f"proxyspec.load.{show(run.profile, 100)}", threshold.expression)
    if threshold.actual is None:
        _note(test, "error", "nothing was measured", "unmeasured")
    elif not threshold.met:
        _note(test, "failure", f"{threshold.expression} is not met: {threshold.actual:g}", "missed")
    return test
