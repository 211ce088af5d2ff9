from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import pytest

from proxyspec_haproxy import BinaryEngine, ImageBuildFailed, build_image, choose_engine
from proxyspec_haproxy.image.build import dockerfile, write_rootfs
from proxyspec_haproxy.image.commands import Finished, run
from proxyspec_haproxy.image.debian import (
    apt_configuration,
    apt_failure,
    mirrors_in,
    needed_packages,
    own_suite,
    sources_for,
    unpack_suite,
)
from proxyspec_haproxy.image.parts import Parts, merged, parse_linked

if TYPE_CHECKING:
    from docker import DockerClient

SIGNED = "signed-by=/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.mark.parametrize(
    ("os_release", "suite"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\nVERSION_CODENAME=bookworm\n', "bookworm"),
        ('ID="debian"\nVERSION_CODENAME="trixie"\n', "trixie"),
        ('PRETTY_NAME="Debian GNU/Linux sid"\nID=debian\n', "sid"),
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=noble\n", None),
        ("", None),
    ],
)
def test_the_suite_of_this_machine(os_release: str, suite: str | None) -> None:
    assert own_suite(os_release) == suite


@pytest.mark.parametrize(
    ("suite", "archives"),
    [
        ("bookworm", ["m bookworm", "s bookworm-security"]),
        ("sid", ["m sid"]),
        ("forky", ["m forky"]),
        ("experimental", ["m sid", "m experimental"]),
        ("trixie-backports", ["m trixie", "m trixie-backports", "s trixie-security"]),
    ],
)
def test_sources(suite: str, archives: list[str]) -> None:
    lines = sources_for(suite, "m", "s", "amd64").splitlines()
    assert lines == [f"deb [arch=amd64 {SIGNED}] {archive} main" for archive in archives]


def test_the_machines_own_mirrors_are_used_where_there_are_any() -> None:
    assert mirrors_in(["http://mirror.example/debian/", "http://x/debian-security", "https://node.example/n"]) == (
        "http://mirror.example/debian/",
        "http://x/debian-security",
    )
    assert mirrors_in(["http://mirror.example/debian"]) == ("http://mirror.example/debian", None)
    assert "security" not in sources_for("bookworm", "http://mirror.example/debian", None, "amd64")


def test_without_a_mirror_of_debian_the_remedy_is_said() -> None:
    with pytest.raises(ImageBuildFailed, match="no mirror of Debian"):
        mirrors_in(["http://archive.example/ubuntu/"])


def test_apt_stays_in_its_folder_and_keeps_the_proxy() -> None:
    text = apt_configuration(Path("/scratch"), 'Acquire::http::Proxy "http://p:3128";', "arm64", "experimental")
    assert 'Acquire::http::Proxy "http://p:3128";' in text
    assert 'Dir "/scratch/";' in text
    assert 'Dir::State::status "/scratch/status";' in text
    assert 'Dir::Etc::parts "/dev/null";' in text
    assert 'APT::Default-Release "experimental";' in text
    assert "Default-Release" not in apt_configuration(Path("/scratch"), "", "arm64", "trixie")


def test_only_what_haproxy_can_touch_is_unpacked() -> None:
    uris = """\
'http://m/libc6_2.36_amd64.deb' libc6_2.36_amd64.deb 1 MD5Sum:0
'http://m/haproxy_2.6.12-1_amd64.deb' haproxy_2.6.12-1_amd64.deb 1 MD5Sum:0
'http://m/busybox-static_1_amd64.deb' busybox-static_1_amd64.deb 1 MD5Sum:0
'http://m/dpkg_1_amd64.deb' dpkg_1_amd64.deb 1 MD5Sum:0
'http://m/zlib1g_1_amd64.deb' zlib1g_1%3a1_amd64.deb 1 MD5Sum:0
'http://m/libpam-modules_1_amd64.deb' libpam-modules_1_amd64.deb 1 MD5Sum:0
'http://m/libperl5_1_amd64.deb' libperl5_1_amd64.deb 1 MD5Sum:0
'http://m/perl-base_1_amd64.deb' perl-base_1_amd64.deb 1 MD5Sum:0
"""
    assert needed_packages(uris) == ["busybox-static", "haproxy", "libc6", "zlib1g"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("E: The repository 'http://m nosuch Release' does not have a Release file.", "has no suite 'nosuch'"),
        ("E: Failed to fetch http://m  Could not resolve 'm'", "mirror does not answer"),
        ("E: Failed to fetch http://m  Temporary failure resolving 'm'", "mirror does not answer"),
        ("E: Failed to fetch http://m  Unable to connect to m:", "mirror does not answer"),
        ("E: Unable to locate package haproxy", "'nosuch' has no haproxy"),
        ("E: something new \x1b[1m", r"apt failed for the suite 'nosuch': E: something new \\x1b\[1m"),
    ],
)
def test_what_apt_means(said: str, message: str) -> None:
    assert re.search(message, str(apt_failure("nosuch", Finished(100, "", said))))


def test_linked_libraries_of_ldd_and_of_the_loader() -> None:
    linked = parse_linked(
        "\tlinux-vdso.so.1 (0x00007fc23bea8000)\n"
        "\tlibssl.so.3 => /lib/x86_64-linux-gnu/libssl.so.3 (0x00007fc23bdb4000)\n"
        "\tlibodd.so.1 => not found\n"
        "\t/lib64/ld-linux-x86-64.so.2 (0x00007fc23beaa000)\n"
    )
    assert linked.libraries == {"libssl.so.3": Path("/lib/x86_64-linux-gnu/libssl.so.3")}
    assert linked.interpreter == PurePosixPath("/lib64/ld-linux-x86-64.so.2")
    assert linked.missing == ("libodd.so.1",)
    assert parse_linked("\tnot a dynamic executable\n").libraries == {}
    by_loader = parse_linked("\t/lib64/ld-linux-x86-64.so.2 => /t/usr/lib/x86_64-linux-gnu/ld.so (0x7f)\n")
    assert by_loader.interpreter == PurePosixPath("/lib64/ld-linux-x86-64.so.2")


def test_paths_move_below_usr() -> None:
    assert merged("/lib64/ld.so") == PurePosixPath("/usr/lib64/ld.so")
    assert merged("/usr/lib/a") == PurePosixPath("/usr/lib/a")
    assert merged("/opt/lib/a") == PurePosixPath("/opt/lib/a")


def parts_of(folder: Path) -> Parts:
    program = folder / "program"
    program.write_bytes(b"\x7fELF")
    files = {PurePosixPath("/usr/sbin/haproxy"): program, PurePosixPath("/usr/bin/busybox"): program}
    return Parts("3.2.26-1", "sid", files, shell_is_busybox=True)


def test_the_file_system_of_an_image(tmp_path: Path) -> None:
    target = io.BytesIO()
    write_rootfs(parts_of(tmp_path), target)
    target.seek(0)
    with tarfile.open(fileobj=target) as archive:
        entries = {entry.name: entry for entry in archive.getmembers()}
        count = len(archive.getmembers())
        passwd = archive.extractfile("etc/passwd")
        assert passwd is not None
        assert b"haproxy:x:99:99:" in passwd.read()
    assert len(entries) == count, "no path twice"
    assert entries["usr/sbin/haproxy"].mode == 0o755
    assert entries["usr/local/sbin/haproxy"].linkname == "/usr/sbin/haproxy"
    assert entries["lib"].linkname == "usr/lib"
    assert entries["usr/bin/sh"].linkname == "busybox"
    assert entries["tmp"].mode == 0o1777
    assert entries["var/lib/haproxy"].uid == 99
    assert entries["usr/local/etc/haproxy/errors"].isdir()
    assert {entry.mtime for entry in entries.values()} == {0}, "the same files give the same image"
    for name, entry in entries.items():
        parent = str(PurePosixPath(name).parent)
        assert parent == "." or entries[parent].isdir(), f"{name} needs {parent}"
        assert entry.uname == ""


def test_the_conventions_are_in_the_dockerfile(tmp_path: Path) -> None:
    text = dockerfile(parts_of(tmp_path))
    assert "HAPROXY_VERSION=3.2.26\n" in text
    for line in ("FROM scratch", "STOPSIGNAL SIGUSR1", "USER haproxy", 'ENTRYPOINT ["docker-entrypoint.sh"]'):
        assert line in text.splitlines()


@pytest.mark.haproxy
@pytest.mark.docker
def test_an_image_of_a_binary_keeps_the_conventions(
    wheel_engine: BinaryEngine, docker_client: DockerClient, free_ports: Callable[[int], list[int]]
) -> None:
    tag = f"proxyspec-test/haproxy:{os.getpid()}"
    steps: list[str] = []
    try:
        built = build_image(binary=wheel_engine.path, tag=tag, progress=steps.append)
        again = build_image(binary=wheel_engine.path, tag=tag)
        assert built.tag == tag
        assert built.version == str(wheel_engine.version())
        assert 5_000_000 < built.size < 100_000_000
        assert steps[0].startswith("collecting ")
        assert again.size == built.size
        image = docker_client.images.get(tag)
        settings = image.attrs["Config"]
        assert settings["User"] == "haproxy"
        assert settings["StopSignal"] == "SIGUSR1"
        assert settings["Cmd"] == ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
        assert f"HAPROXY_VERSION={wheel_engine.version().series}.{wheel_engine.version().patch}" in settings["Env"]

        def inside(*command: str) -> str:
            container = docker_client.containers.create(tag, list(command), network_mode="none")
            try:
                container.start()
                assert container.wait()["StatusCode"] == 0
                return container.logs().decode()
            finally:
                container.remove(force=True)

        assert str(wheel_engine.version()) in inside("-v")
        assert inside("sh", "-c", "echo $0 $1", "a", "b") == "a b\n"
        engine = choose_engine(f"docker:{tag}").engine
        assert engine.version().series == wheel_engine.version().series
    finally:
        for image in docker_client.images.list("proxyspec-test/haproxy"):
            if tag in image.tags:
                docker_client.images.remove(tag, force=True)


def test_without_docker_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    steps: list[str] = []
    with pytest.raises(ImageBuildFailed, match="its daemon does not answer; start it"):
        build_image(progress=steps.append)
    assert steps == []


@pytest.mark.docker
@pytest.mark.parametrize(
    ("path", "complaint"), [("/bin/echo", "give a haproxy executable"), ("/nonexistent", "no such file")]
)
def test_a_binary_that_is_no_haproxy(path: str, complaint: str, docker_client: DockerClient) -> None:
    with pytest.raises(ImageBuildFailed, match=complaint):
        build_image(binary=Path(path))


def test_arguments_that_contradict_or_say_nothing() -> None:
    with pytest.raises(ValueError, match="one source"):
        build_image(suite="sid", binary=Path("/usr/sbin/haproxy"))


@pytest.mark.parametrize("tag", ["haproxy", "", ":x", "x:", "Foo:1", "a:b:c", "a:b c", "a//b:1", "a:-1", "a:1\n"])
def test_a_tag_that_names_no_image_is_refused_before_anything_is_fetched(tag: str) -> None:
    told: list[str] = []
    with pytest.raises(ValueError, match=f"tag {re.escape(repr(tag))}: expected NAME:TAG"):
        build_image(tag=tag, progress=told.append)
    assert told == []


@pytest.mark.docker
@pytest.mark.usefixtures("docker_client")
def test_an_empty_suite_is_not_this_machines_own() -> None:
    with pytest.raises(ImageBuildFailed, match="'' is no suite of Debian"):
        build_image(suite="")


@pytest.mark.parametrize("suite", ["", "../x", "Sid", "a b", "sid\ndeb http://evil /"])
def test_a_suite_that_cannot_be_one(suite: str, tmp_path: Path) -> None:
    with pytest.raises(ImageBuildFailed, match="is no suite of Debian"):
        unpack_suite(suite, tmp_path, lambda _: None)


def test_without_debians_tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageBuildFailed, match=r"there is no apt-get here: .* build from a binary instead"):
        unpack_suite("trixie", tmp_path, lambda _: None)


def test_a_mirror_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if subprocess.run(["which", "apt-get"], capture_output=True, check=False).returncode != 0:
        pytest.fail("this test needs apt-get, which every Debian has", pytrace=False)
    (tmp_path / "proxy.conf").write_text('Acquire::http::Proxy "http://127.0.0.1:9";\nAcquire::Retries "0";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "proxy.conf"))
    with pytest.raises(ImageBuildFailed, match=r"Debian's mirror does not answer .* check network and proxy"):
        unpack_suite("trixie", tmp_path / "work", lambda _: None)


def test_a_tool_that_fails_is_told_with_the_remedy() -> None:
    assert run(["sh", "-c", "echo out; echo err >&2; exit 3"], remedy="-") == Finished(3, "out\n", "err\n")
    with pytest.raises(ImageBuildFailed, match=r"nosuch-tool cannot be run \(No such file or directory\): install it"):
        run(["nosuch-tool"], remedy="install it")
    with pytest.raises(ImageBuildFailed, match="sleep did not end within 0 s"):
        run(["sleep", "5"], remedy="-", timeout=0.05)
