"""Ways to run HAProxy: in Docker, or as a local process; both give the same handle."""

from proxyspec_haproxy.engines.binary import BinaryEngine
from proxyspec_haproxy.engines.choose import MATRIX, Choice, choose_all, choose_engine, sweep
from proxyspec_haproxy.engines.docker import DockerEngine
from proxyspec_haproxy.engines.engine import Engine
from proxyspec_haproxy.engines.errors import ConfigRejected, EngineUnavailable, StartFailed
from proxyspec_haproxy.engines.handle import HAProxy

__all__ = [
    "MATRIX",
    "BinaryEngine",
    "Choice",
    "ConfigRejected",
    "DockerEngine",
    "Engine",
    "EngineUnavailable",
    "HAProxy",
    "StartFailed",
    "choose_all",
    "choose_engine",
    "sweep",
]
