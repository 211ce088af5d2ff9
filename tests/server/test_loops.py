"""The choice of an event loop."""

import asyncio
import select
import sys
from importlib.util import find_spec

import pytest

from proxyspec_server.command import main, parse
from proxyspec_server.loops import Loop, LoopUnavailable, chosen, loop_factory
from tests.server.test_command import L4, read_all, server

INSTALLED = find_spec("uvloop") is not None
needs_uvloop = pytest.mark.skipif(not INSTALLED, reason="uvloop is not installed")


def test_auto_takes_uvloop_where_it_is_installed() -> None:
    assert chosen(Loop.AUTO) is (Loop.UVLOOP if INSTALLED else Loop.ASYNCIO)
    assert chosen(Loop.ASYNCIO) is Loop.ASYNCIO
    assert parse([], "serve").loop is Loop.AUTO


def test_the_stock_loop_is_the_stock_loop() -> None:
    loop = loop_factory(Loop.ASYNCIO)()
    try:
        assert isinstance(loop, asyncio.SelectorEventLoop)
    finally:
        loop.close()


@needs_uvloop
def test_uvloop_is_uvloop() -> None:
    loop = loop_factory(Loop.UVLOOP)()
    try:
        assert type(loop).__module__ == "uvloop"
    finally:
        loop.close()


@pytest.mark.parametrize("loop", [Loop.ASYNCIO, pytest.param(Loop.UVLOOP, marks=needs_uvloop)])
def test_the_server_runs_on_either(loop: Loop) -> None:
    with server("--trust", "127.0.0.1", "--header-timeout", "0.5", "--loop", loop.value) as process:
        with process.connect() as client:
            client.sendall(L4 + b"HELO x\r\nQUIT\r\n")
            assert b"[192.0.2.1]" in read_all(client)
        with process.connect() as client:
            assert read_all(client) == b"421 4.4.2 mx.test PROXY timed out\r\n"
        assert process.stop() == 0


def test_without_uvloop_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(LoopUnavailable, match=r"pip install 'proxyspec\[fast\]'"):
        loop_factory(Loop.UVLOOP)
    assert main(["--loop", "uvloop", "--listen", "127.0.0.1:0"], prog="serve") == 2
    assert capsys.readouterr().err.startswith("serve: uvloop cannot be imported; install it with")


@pytest.mark.parametrize("loop", list(Loop))
def test_without_epoll_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, loop: Loop) -> None:
    monkeypatch.delattr(select, "epoll")
    with pytest.raises(LoopUnavailable, match="run it on Linux"):
        loop_factory(loop)


def test_an_unknown_loop_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--loop", "twisted"], prog="serve") == 2
    error = capsys.readouterr().err
    assert "--loop" in error
    assert "'twisted'" in error
