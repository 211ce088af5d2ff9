"""Counters, and the two ways they are told."""

import io
import json
import re

import pytest

from proxyspec_server.ending import Ending
from proxyspec_server.journal import Journal, Step
from proxyspec_server.message import DeliveryFailed, Message
from proxyspec_server.metrics import Lateness, Metrics, Traffic
from proxyspec_server.proxy import Command, Family, Header

HEADER = Header(2, Command.PROXY, Family.TCP4, None, None, b"", 28)
LOCAL = Header(2, Command.LOCAL, Family.UNSPEC, None, None, b"", 16)
MESSAGE = Message(id="1", sender="", recipients=("b@example.com",), chunks=(b"x",), size=1234)

SAMPLE = re.compile(r'([a-z_]+)(\{[a-z]+="[^"]*"(?:,[a-z]+="[^"]*")*\})? (\d+(?:\.\d+)?(?:e-\d+)?)')


class Open:
    """A connection that is still there."""

    def account(self, traffic: Traffic) -> None:
        traffic.add(10, 20, HEADER, encrypted=True)


def counted() -> Metrics:
    metrics = Metrics()
    metrics.accepted = 5
    metrics.endings[Ending.QUIT] = 2
    metrics.endings[Ending.REFUSED] = 1
    metrics.endings[Ending.TOO_MANY_FROM_CLIENT] = 1
    metrics.traffic.add(100, 200, LOCAL, encrypted=False)
    metrics.lateness.add(0.002)
    metrics.lateness.add(0.001)
    return metrics


def test_an_open_connection_is_counted_when_somebody_asks_and_only_then() -> None:
    metrics = counted()
    for _ in range(2):
        snapshot = metrics.snapshot([Open()], waiting=1, faults=0)
        assert (snapshot.current, snapshot.waiting) == (1, 1)
        assert (snapshot.traffic.bytes_in, snapshot.traffic.bytes_out, snapshot.traffic.handshakes) == (110, 220, 1)
        assert snapshot.traffic.headers[2, Command.PROXY] == 1
    assert metrics.traffic.bytes_in == 100
    assert metrics.traffic.headers[2, Command.PROXY] == 0


def test_a_snapshot_does_not_change_any_more() -> None:
    metrics = counted()
    snapshot = metrics.snapshot([], waiting=0, faults=0)
    metrics.endings[Ending.QUIT] += 1
    metrics.lateness.add(9)
    metrics.traffic.add(1, 1, LOCAL, encrypted=True)
    assert snapshot.endings[Ending.QUIT] == 2
    assert snapshot.lateness == Lateness(2, 0.003, 0.002)
    assert snapshot.traffic.headers[2, Command.LOCAL] == 1


def test_json() -> None:
    snapshot = counted().snapshot([Open()], waiting=0, faults=3)
    found = json.loads(json.dumps(snapshot.as_json()))
    assert found["connections"] == {"accepted": 5, "refused": 2, "current": 1, "waiting": 0}
    assert found["endings"].keys() == {ending.value for ending in Ending}
    assert found["endings"]["quit"] == 2
    assert found["headers"] == {"v1": {"LOCAL": 0, "PROXY": 0}, "v2": {"LOCAL": 1, "PROXY": 1}}
    assert found["bytes"] == {"in": 110, "out": 220}
    assert found["tls_handshakes"] == 1
    assert found["header_deadlines"] == {"count": 2, "lateness_sum": 0.003, "lateness_max": 0.002}
    assert found["faults"] == 3


def test_the_prometheus_text_has_the_same_figures() -> None:
    text = counted().snapshot([Open()], waiting=0, faults=3).as_prometheus()
    assert text.endswith("\n")
    samples: dict[str, float] = {}
    kinds: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            name, kind = line.split()[2:]
            assert name not in kinds
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            assert any(name == known or name in (f"{known}_sum", f"{known}_count") for known in kinds)
            assert name + (labels or "") not in samples
            samples[name + (labels or "")] = float(value)
    assert all(kind != "counter" or name.endswith("_total") for name, kind in kinds.items())
    assert samples['proxyspec_server_endings_total{ending="quit"}'] == 2
    assert sum(name.startswith("proxyspec_server_endings_total") for name in samples) == len(Ending)
    assert samples['proxyspec_server_headers_total{version="2",command="LOCAL"}'] == 1
    assert samples["proxyspec_server_connections"] == 1
    assert samples["proxyspec_server_connections_refused_total"] == 2
    assert samples["proxyspec_server_header_deadline_lateness_seconds_sum"] == 0.003
    assert samples["proxyspec_server_header_deadline_lateness_seconds_count"] == 2
    assert samples["proxyspec_server_header_deadline_lateness_seconds_max"] == 0.002
    assert samples["proxyspec_server_faults_total"] == 3


def test_messages_are_counted_by_what_became_of_them() -> None:
    metrics = Metrics()
    stored: list[Message] = []
    metrics.counting(stored.append)(MESSAGE)

    def full(message: Message) -> None:
        raise DeliveryFailed("No space left on device")

    with pytest.raises(DeliveryFailed):
        metrics.counting(full)(MESSAGE)
    assert stored == [MESSAGE]
    assert (metrics.messages, metrics.message_bytes, metrics.undelivered) == (1, 1234, 1)


def test_a_snapshot_fits_into_the_journal() -> None:
    stream = io.BytesIO()
    Journal(stream).record(Step.METRICS, **counted().snapshot([], waiting=0, faults=0).as_json())
    entry = json.loads(stream.getvalue())
    assert entry["event"] == "metrics"
    assert entry["endings"]["quit"] == 2
