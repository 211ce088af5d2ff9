"""The TLS channel against the standard library's client, in memory; certificates and what is wrong with them."""

import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_server.certificate import self_signed
from proxyspec_server.tls import CertificateError, TlsChannel, TlsFault, server_context
from tests.server.tls_client import TlsClient, lenient_context


def shake(channel: TlsChannel, client: TlsClient) -> None:
    """Carry the handshake to its end."""
    for _ in range(5):
        assert channel.feed(client.take()) == b""
        client.feed(channel.take())
        if channel.established:
            return
    raise AssertionError("the handshake does not end")


def test_bytes_go_through_both_ways(certificate: ssl.SSLContext) -> None:
    channel, client = TlsChannel(certificate), TlsClient()
    assert (channel.established, channel.version, channel.cipher) == (False, "", "")
    shake(channel, client)
    assert channel.version == "TLSv1.3"
    assert channel.cipher.startswith("TLS_")
    assert channel.feed(client.encrypt(b"EHLO x\r\n")) == b"EHLO x\r\n"
    large = bytes(range(256)) * 4000
    assert client.feed(channel.encrypt(large)) == large
    assert b"EHLO" not in channel.encrypt(b"EHLO x\r\n")


def test_bytes_behind_the_handshake_are_plaintext_at_once(certificate: ssl.SSLContext) -> None:
    channel, client = TlsChannel(certificate), TlsClient()
    channel.feed(client.take())
    client.feed(channel.take())
    assert channel.feed(client.take() + client.encrypt(b"EHLO x\r\n")) == b"EHLO x\r\n"


def test_no_ticket_is_left_for_the_client_to_read(certificate: ssl.SSLContext) -> None:
    channel, client = TlsChannel(certificate), TlsClient()
    shake(channel, client)
    assert channel.take() == b""


@pytest.mark.parametrize("segment", [1, 7, 500])
def test_segments_do_not_matter(certificate: ssl.SSLContext, segment: int) -> None:
    channel, client = TlsChannel(certificate), TlsClient()
    hello = client.take()
    for at in range(0, len(hello), segment):
        channel.feed(hello[at : at + segment])
    client.feed(channel.take())
    rest = client.take() + client.encrypt(b"NOOP\r\n")
    assert b"".join(channel.feed(rest[at : at + segment]) for at in range(0, len(rest), segment)) == b"NOOP\r\n"


def test_the_peer_says_that_it_is_done(certificate: ssl.SSLContext) -> None:
    channel, client = TlsChannel(certificate), TlsClient()
    shake(channel, client)
    assert channel.feed(client.encrypt(b"QUIT\r\n") + client.close()) == b"QUIT\r\n"
    assert channel.closed
    assert client.feed(channel.encrypt(b"221\r\n") + channel.close()) == b"221\r\n"
    assert client.closed


@pytest.mark.parametrize("garbage", [b"EHLO x\r\n", b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\xff\xff" + bytes(9)])
def test_what_is_no_tls(certificate: ssl.SSLContext, garbage: bytes) -> None:
    channel = TlsChannel(certificate)
    with pytest.raises(TlsFault) as caught:
        channel.feed(garbage)
    assert caught.value.reason.isascii()
    assert caught.value.reason == str(caught.value) != ""
    assert not channel.established


def test_a_record_that_was_tampered_with(certificate: ssl.SSLContext) -> None:
    channel, client = TlsChannel(certificate), TlsClient()
    shake(channel, client)
    record = bytearray(client.encrypt(b"NOOP\r\n"))
    record[-1] ^= 1
    with pytest.raises(TlsFault):
        channel.feed(bytes(record))
    assert channel.take() != b""
    channel.close()


def test_old_versions_are_refused(certificate: ssl.SSLContext) -> None:
    context = lenient_context()
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    channel, client = TlsChannel(certificate), TlsClient(context)
    shake(channel, client)
    assert channel.version == "TLSv1.2"
    assert certificate.minimum_version == ssl.TLSVersion.TLSv1_2


@given(pieces=st.lists(st.binary(min_size=1, max_size=60), max_size=6))
def test_random_bytes_only_ever_raise_a_tls_fault(certificate: ssl.SSLContext, pieces: list[bytes]) -> None:
    channel = TlsChannel(certificate)
    with suppress(TlsFault):
        assert b"".join(channel.feed(piece) for piece in pieces) == b""
    assert not channel.established


# Certificates.


def pem(folder: Path, name: str) -> tuple[Path, Path]:
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    arguments = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"]
    arguments += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *arguments], check=True, capture_output=True)
    return certificate, key


def test_files_of_ones_own(tmp_path: Path) -> None:
    channel, client = TlsChannel(server_context(*pem(tmp_path, "a"))), TlsClient()
    shake(channel, client)
    assert channel.established


def test_a_bad_certificate_is_named_with_its_remedy(tmp_path: Path) -> None:
    certificate, key = pem(tmp_path, "a")
    _, other = pem(tmp_path, "b")
    locked = tmp_path / "locked.key"
    command = ["openssl", "ec", "-in", str(key), "-aes128", "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(command, check=True, capture_output=True)
    for files, told in (
        ((tmp_path / "none", key), f"cannot read {tmp_path / 'none'}: No such file or directory"),
        ((certificate, tmp_path), f"cannot read {tmp_path}: Is a directory"),
        ((certificate, other), f"with the key {other}: key values mismatch; give a PEM certificate chain"),
        ((certificate, locked), f"with the key {locked}: "),
        ((key, certificate), f"cannot use the certificate {key}"),
    ):
        with pytest.raises(CertificateError) as caught:
            server_context(*files)
        assert told in str(caught.value)
        assert "; " in str(caught.value)


def test_without_openssl_there_is_no_certificate_on_demand() -> None:
    with pytest.raises(CertificateError, match=r"cannot run no-such-openssl: No such file.*--tls-cert and --tls-key"):
        self_signed("mx.test", openssl="no-such-openssl")


def test_an_openssl_that_fails_is_quoted() -> None:
    with pytest.raises(CertificateError, match="false made no certificate: it said nothing"):
        self_signed("mx.test", openssl="false")


def test_a_long_name_fits(certificate: ssl.SSLContext) -> None:
    assert certificate.num_tickets == 0
    self_signed(".".join(["a" * 60] * 4))
