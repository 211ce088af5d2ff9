"""An interruption while the daemon makes a container, or removes one: nothing of it stays."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from proxyspec_haproxy.engines.docker import DockerEngine


class Daemon:
    """Has every image, and interrupts whoever has a container made, once it is, or removed, before it is."""

    def __init__(self, while_it: str) -> None:
        self._while_it = while_it
        self.there: list[str] = []
        self.images = SimpleNamespace(get=lambda name: name)
        self.containers = SimpleNamespace(create=self._create)

    def _create(self, *_: object, **__: object) -> SimpleNamespace:
        self.there.append("made")
        self._interrupt("makes")
        return SimpleNamespace(remove=self._remove, start=lambda: None, wait=self._wait, logs=lambda: b"")

    def _interrupt(self, what: str) -> None:
        if what == self._while_it:
            os.kill(os.getpid(), signal.SIGINT)

    def _remove(self, **_: object) -> None:
        self._interrupt("removes")
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


@pytest.mark.parametrize("while_it", ["makes", "removes"])
def test_a_container_does_not_outlive_an_interruption_while_the_daemon(while_it: str) -> None:
    daemon = Daemon(while_it)
    engine = DockerEngine(cast("Any", daemon), "haproxy:3.2")
    with pytest.raises(KeyboardInterrupt):
        engine.check("global\n")
    assert daemon.there == []
