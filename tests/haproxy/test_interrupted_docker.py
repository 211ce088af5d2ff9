"""An interruption while the daemon makes a container: whatever comes of it is removed."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxyspec_haproxy.engines.docker import DockerEngine


class Daemon:
    """Has every image, and interrupts whoever has a container made, once it is."""

    def __init__(self) -> None:
        self.there: list[str] = []
        self.images = SimpleNamespace(get=lambda name: name)
        self.containers = SimpleNamespace(create=self._create)

    def _create(self, *_: object, **__: object) -> SimpleNamespace:
        self.there.append("made")
        os.kill(os.getpid(), signal.SIGINT)
        return SimpleNamespace(remove=self._remove, start=lambda: None, wait=self._wait, logs=lambda: b"")

    def _remove(self, **_: object) -> None:
        self.there.remove("made")

    def _wait(self, **_: object) -> dict[str, int]:
        return {"StatusCode": 0}

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def _interruptible() -> Any:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_container_that_is_being_made_when_the_interruption_comes_is_removed() -> None:
    daemon = Daemon()
    engine = DockerEngine(cast("Any", daemon), "haproxy:3.2")
    with pytest.raises(KeyboardInterrupt):
        engine.check("global\n")
    assert daemon.there == []
