from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from proxyspec.errors import UsageError
from proxyspec.load.counters import compare, read_endings, settled
from proxyspec.load.dialogue import Leave, Say, Script
from proxyspec.load.scripts import Cut, Pattern

SCRIPT = Script((Say(), Leave(abrupt=True)))
ONE = Pattern("one", "t", Cut.NOTHING, SCRIPT, frozenset({"a"}))
TWO = Pattern("two", "t", Cut.NOTHING, SCRIPT, frozenset({"b", "c"}))
THREE = Pattern("three", "t", Cut.NOTHING, SCRIPT, frozenset({"c"}))


@contextlib.contextmanager
def _metrics(body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/metrics.json"
        finally:
            server.shutdown()
            thread.join()


def test_endings_are_read_from_the_server() -> None:
    with _metrics(json.dumps({"endings": {"quit": 3, "fault": 0}, "more": 1}).encode()) as url:
        assert read_endings(url) == {"quit": 3, "fault": 0}


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b'{"endings": []}', b'{"endings": {"quit": "3"}}'])
def test_anything_else_is_refused_by_name(body: bytes) -> None:
    with _metrics(body) as url, pytest.raises(UsageError, match="--server-metrics"):
        read_endings(url)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://192.0.2.1/metrics.json", "metrics", "http://127.0.0.1:1/"]
)
def test_only_counters_of_this_machine_are_read(url: str) -> None:
    with pytest.raises(UsageError, match="--server-metrics"):
        read_endings(url)


def test_each_class_is_judged_by_what_was_counted_since() -> None:
    verdicts = compare(
        (ONE, TWO, THREE), {"one": 5, "two": 2, "three": 3}, {"a": 1, "b": 1, "c": 1}, {"a": 6, "b": 3, "c": 3}
    )
    assert [(verdict.expression, verdict.actual, verdict.met) for verdict in verdicts] == [
        ("counted(one) == 5", 5.0, True),
        ("counted(two + three) == 5", 4.0, False),
    ]


def test_the_last_ends_are_waited_for() -> None:
    readings = iter([{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}])
    assert settled(lambda: next(readings), 3) == {"a": 3}
