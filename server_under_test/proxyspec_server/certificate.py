"""A self-signed certificate for tests, made on demand by the `openssl` program, so that no package is needed for it."""

import ssl
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from proxyspec_server.tls import CertificateError, server_context

_DAYS = "30"
_PATIENCE = 30.0
"""Seconds openssl may take."""


def self_signed(name: str, openssl: str = "openssl") -> ssl.SSLContext:
    """A context with a fresh key and a certificate for `name` that nobody has signed; no file is left behind.

    Raises CertificateError when the program `openssl` is missing or fails.
    """
    with TemporaryDirectory(prefix="proxyspec-") as folder:
        try:
            certificate, key = write_self_signed(name, Path(folder), openssl)
        except CertificateError as error:
            raise CertificateError(
                f"{error}, or give a certificate of your own with --tls-cert and --tls-key"
            ) from error
        return server_context(certificate, key)


def write_self_signed(name: str, folder: Path, openssl: str = "openssl") -> tuple[Path, Path]:
    """Write a fresh key and a certificate for `name` that nobody has signed; return certificate and key, as PEM files.

    Raises CertificateError when the program `openssl` is missing or fails.
    """
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    # The key's curve and the name's place in the certificate are what every TLS library takes.
    command = [
        *(openssl, "req", "-x509", "-nodes", "-days", _DAYS),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        # A common name has 64 characters at most; the alternative name is the one that counts.
        *("-subj", f"/CN={name[:64]}", "-addext", f"subjectAltName=DNS:{name}"),
        *("-keyout", str(key), "-out", str(certificate)),
    ]
    remedy = "install openssl"
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_PATIENCE)
    except OSError as error:
        raise CertificateError(f"cannot run {openssl}: {error.strerror or error}; {remedy}") from error
    except subprocess.TimeoutExpired as error:
        raise CertificateError(f"{openssl} made no certificate in {_PATIENCE:g} s; {remedy}") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("ascii", "replace").strip().splitlines()
        raise CertificateError(
            f"{openssl} made no certificate: {said[-1] if said else 'it said nothing'}; {remedy}"
        ) from error
    return certificate, key
