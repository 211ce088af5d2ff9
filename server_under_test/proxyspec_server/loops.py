"""Event loops: the standard library's, or uvloop's where that is installed."""

import asyncio
import select
from collections.abc import Callable
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec

LoopFactory = Callable[[], asyncio.AbstractEventLoop]


class Loop(StrEnum):
    """Which event loop runs the server."""

    AUTO = "auto"
    """uvloop if it can be imported, else asyncio."""
    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"


class LoopUnavailable(Exception):
    """The event loop asked for cannot run the server here; the message names the remedy."""


def chosen(loop: Loop) -> Loop:
    """What AUTO stands for here; any other loop stands for itself."""
    if loop is not Loop.AUTO:
        return loop
    return Loop.ASYNCIO if find_spec("uvloop") is None else Loop.UVLOOP


def loop_factory(loop: Loop) -> LoopFactory:
    """What makes an event loop of that kind. Raises LoopUnavailable."""
    if not hasattr(select, "epoll"):
        raise LoopUnavailable("the server needs epoll, which this system does not have; run it on Linux")
    if chosen(loop) is Loop.ASYNCIO:
        return asyncio.new_event_loop
    try:
        factory: LoopFactory = import_module("uvloop").new_event_loop
    except ImportError as error:
        raise LoopUnavailable(
            "uvloop cannot be imported; install it with `pip install 'proxyspec[fast]'`, or leave --loop at auto"
        ) from error
    return factory
