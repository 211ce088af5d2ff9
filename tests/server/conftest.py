"""What several tests of the server need: a certificate, made once."""

import shutil
import ssl

import pytest

from proxyspec_server.certificate import self_signed


@pytest.fixture(scope="session")
def certificate() -> ssl.SSLContext:
    """The server's side of TLS with a self-signed certificate."""
    if shutil.which("openssl") is None:
        pytest.fail("these tests make a certificate with openssl: apt-get install openssl", pytrace=False)
    return self_signed("mx.test")
