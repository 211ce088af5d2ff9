"""What holds of every adapter, without installing any."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import pytest

from proxyspec_server.adapters.cache import Cache
from proxyspec_server.adapters.contract import HERE, Adapter, Place, named
from proxyspec_server.adapters.errors import AdapterError
from proxyspec_server.adapters.registry import ADAPTERS, adapter_of

EACH = pytest.mark.parametrize("adapter", ADAPTERS.values(), ids=list(ADAPTERS))


def _place(adapter: Adapter, folder: Path, *, hosts: tuple[str, ...] = (HERE,)) -> Place:
    software, run = folder / "software", folder / "run"
    shipped = software / "node_modules/Haraka/config"
    shipped.mkdir(parents=True)
    (shipped / "connection.ini").write_text("[main]\nspool_after=\n[haproxy]\nhosts[] =\n; hosts[] = 192.0.2.4\n")
    run.mkdir()
    return Place(software=software, run=run, port=2525, log=run / "log", version=adapter.version, hosts=hosts)


def test_the_servers_asked_for_are_there() -> None:
    wanted = {"haraka", "postfix", "postscreen", "exim", "opensmtpd", "dovecot", "aiosmtpd", "nginx", "haproxy"}
    assert wanted | {"nodemailer", "reference"} <= ADAPTERS.keys()


@EACH
def test_a_start_is_on_loopback_and_leaves_its_files_in_its_own_folder(adapter: Adapter, tmp_path: Path) -> None:
    place = _place(adapter, tmp_path)
    before = {path for path in tmp_path.rglob("*") if place.run not in (path, *path.parents)}

    launch = adapter.prepare(place)

    assert {path for path in tmp_path.rglob("*") if place.run not in (path, *path.parents)} == before
    written = [path.read_text() for path in place.run.rglob("*") if path.is_file()]
    said = "\n".join([*written, *(" ".join(command) for command in launch.commands)])
    assert HERE in said
    assert str(place.port) in said
    assert "%(" not in said
    assert not re.search(r"\{(host|port|name|run)\}", said)


@EACH
def test_what_an_adapter_declares_is_a_target_profile(adapter: Adapter, tmp_path: Path) -> None:
    facts = adapter.prepare(_place(adapter, tmp_path)).facts

    assert facts.header_timeout > 0
    assert set(facts.versions) <= {1, 2}
    assert facts.versions
    assert facts.trusted is None or ipaddress.ip_address(facts.trusted).is_loopback
    assert facts.untrusted == "none" or ipaddress.ip_address(facts.untrusted).is_loopback
    assert (facts.untrusted != "none") == adapter.has_list
    if facts.oracle == "log":
        assert facts.oracle_pattern is not None
        assert "address" in re.compile(facts.oracle_pattern).groupindex
        assert facts.oracle_file is not None
    assert 1 <= facts.parallel <= 1024


@EACH
def test_servers_that_change_their_user_bring_its_name_along(adapter: Adapter, tmp_path: Path) -> None:
    launch = adapter.prepare(_place(adapter, tmp_path))

    if adapter.needs_root:
        users = launch.bindings["/etc/passwd"].read_text()
        assert {"Debian-exim", "postfix", "opensmtpd", "dovecot"} <= {line.split(":")[0] for line in users.splitlines()}
        assert launch.needs_bindings
    else:
        assert not launch.bindings


def test_the_list_of_proxies_goes_into_both_of_haraka_s_places(tmp_path: Path) -> None:
    place = _place(ADAPTERS["haraka"], tmp_path, hosts=("127.0.0.9", "127.0.0.4/30"))

    ADAPTERS["haraka"].prepare(place)

    connection = (place.run / "config/connection.ini").read_text()
    assert "[haproxy]\nhosts[] = 127.0.0.9\nhosts[] = 127.0.0.4/30\n; hosts[] = 192.0.2.4\n" in connection
    assert (place.run / "config/haproxy_hosts").read_text() == "127.0.0.9\n127.0.0.4/30\n"


def test_an_empty_list_leaves_haraka_s_proxies_off(tmp_path: Path) -> None:
    place = _place(ADAPTERS["haraka"], tmp_path, hosts=())

    ADAPTERS["haraka"].prepare(place)

    assert "[haproxy]\nhosts[] =\n" in (place.run / "config/connection.ini").read_text()
    assert (place.run / "config/haproxy_hosts").read_text() == ""


@pytest.mark.parametrize("hosts", [("127.0.0.9", "127.0.0.4/30"), ()])
def test_the_list_of_proxies_is_whom_nginx_takes_addresses_from(tmp_path: Path, hosts: tuple[str, ...]) -> None:
    place = _place(ADAPTERS["nginx"], tmp_path, hosts=hosts)

    ADAPTERS["nginx"].prepare(place)

    config = (place.run / "nginx.conf").read_text()
    assert tuple(re.findall(r"set_real_ip_from (\S+);", config)) == hosts


@pytest.mark.parametrize(
    ("text", "expected"),
    [("haraka", ("haraka", "")), ("haraka@3.0.3", ("haraka", "3.0.3")), ("a-b@latest", ("a-b", "latest"))],
)
def test_names_and_versions(text: str, expected: tuple[str, str]) -> None:
    assert named(text) == expected


@pytest.mark.parametrize("text", ["", "@", "haraka@", "../haraka", "haraka@../../etc", "ha raka", "haraka@1 2", "-x"])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(AdapterError, match="write NAME or NAME@VERSION"):
        named(text)


def test_an_unknown_server_is_answered_with_those_there_are() -> None:
    with pytest.raises(AdapterError, match="no server 'sendmail'; there are aiosmtpd, "):
        adapter_of("sendmail")


def test_a_server_of_the_distribution_has_no_version_to_choose() -> None:
    with pytest.raises(AdapterError, match="write exim alone"):
        adapter_of("exim@4.99")


class _Broken(Adapter):
    name = "broken"
    summary = origin = "nowhere"
    version = "1"

    def install(self, folder: Path, version: str) -> str:
        (folder / "half").write_text("a download that was cut")
        raise AdapterError("the registry is gone")

    def prepare(self, place: Place) -> None:  # type: ignore[override]
        raise NotImplementedError


def test_half_an_installation_is_none(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    with pytest.raises(AdapterError, match="the registry is gone"):
        cache.install(_Broken(), "1")

    assert cache.installed(_Broken(), "1") is None
    assert not cache.folder(_Broken(), "1").exists()


def test_an_installation_is_made_once(tmp_path: Path) -> None:
    cache, reference = Cache(tmp_path), ADAPTERS["reference"]
    assert cache.installed(reference, "strict") is None

    assert cache.install(reference, "strict") == "strict"
    mark = cache.folder(reference, "strict") / ".version"
    mark.write_text("from before\n")

    assert cache.install(reference, "strict") == "from before"


def test_the_reference_server_comes_in_its_profiles_and_defects_alone(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match="'sloppy'"):
        Cache(tmp_path).install(ADAPTERS["reference"], "sloppy")
    assert Cache(tmp_path).install(ADAPTERS["reference"], "v1-port-wraps-16") == "v1-port-wraps-16"
