"""What the tests of this room share: engines, ports, and SMTP servers with one behaviour each."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from proxyspec_haproxy import (
    Engine,
    HAProxyVersion,
)
from tests.haproxy.fake_smtp import FakeSmtp

if TYPE_CHECKING:
    pass


@pytest.fixture
def smtp() -> Iterator[Callable[[str], FakeSmtp]]:
    """Start a FakeSmtp of the behaviour given."""
    with ExitStack() as undo:

        def start(behaviour: str) -> FakeSmtp:
            server = undo.enter_context(FakeSmtp(behaviour))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            undo.callback(server.shutdown)
            return server

        yield start


@pytest.fixture
def free_ports() -> Callable[[int], list[int]]:
    """Find TCP ports of 127.0.0.1 that nobody listens on."""

    def find(count: int) -> list[int]:
        with ExitStack() as undo:
            sockets = [undo.enter_context(socket.socket()) for _ in range(count)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return [int(each.getsockname()[1]) for each in sockets]

    return find


@pytest.fixture(
    params=[
        pytest.param("binary_engine", marks=pytest.mark.haproxy, id="binary"),
        pytest.param("docker_engine", marks=[pytest.mark.haproxy, pytest.mark.docker], id="docker"),
    ]
)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine in turn."""
    chosen = request.getfixturevalue(request.param)
    assert isinstance(chosen, Engine)
    return chosen


@pytest.fixture(scope="session")
def debian_12() -> HAProxyVersion:
    return HAProxyVersion.parse("2.6.12-1+deb12u4")
