from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxyspec_haproxy import (
    FILES_DIR,
    RUN_DIR,
    BinaryEngine,
    Bind,
    Chain,
    CheckKind,
    DockerEngine,
    Edge,
    HAProxyVersion,
    HostPort,
    Listen,
    Listener,
    ProxyHeader,
    Relay,
    RelayMode,
    Server,
    Settings,
    TemplateFailed,
    Timeouts,
    Tls,
    Topology,
    UnsupportedByHAProxy,
    hapquote,
    render,
    render_topology,
)
from proxyspec_haproxy.render import BUILT_IN_TEMPLATES

LATEST: Final = HAProxyVersion(3, 4, 7, "3.4.7")
V1, V2 = ProxyHeader.V1, ProxyHeader.V2


def at(port: int, host: str = "127.0.0.1") -> HostPort:
    return HostPort(host, port)


MX: Final = Server("mx1", at(22101))
PAIR: Final = (MX, Server("mx2", at(22102)))
PAIR_V2: Final = (Server("mx1", at(22101), proxy=V2), Server("mx2", at(22102), proxy=V2))
FRONT: Final = (Bind(at(22025)),)
PEM: Final = f"{FILES_DIR}/server.pem"
CA: Final = f"{FILES_DIR}/ca.pem"
EVERY_OPTION: Final = ("ssl", "cert-cn", "ssl-cipher", "cert-sig", "cert-key", "authority", "crc32c")


def listen(
    servers: tuple[Server, ...] = PAIR,
    check: CheckKind = CheckKind.SMTP,
    *,
    binds: tuple[Bind, ...] = FRONT,
    helo: str | None = None,
    extra: tuple[str, ...] = (),
    settings: Settings | None = None,
) -> Listen:
    return Listen((Listener("smtp", binds, servers, check, helo=helo, extra=extra),), settings or Settings())


SCENARIOS: Final[dict[str, Topology]] = {
    "smtpchk": listen(),
    "smtpchk-ehlo": listen(helo="EHLO probe.example.test"),
    "tcpcheck": listen(check=CheckKind.TCP),
    "check-l4": listen(check=CheckKind.L4),
    "check-none": listen(check=CheckKind.NONE),
    "v2": listen(PAIR_V2),
    "check-header-implied": listen((Server("mx1", at(22101), check_proxy=False),)),
    "fault-check-without-header": listen((Server("mx1", at(22101), check_proxy=False, check_port=22101),)),
    "fault-traffic-without-header": listen((Server("mx1", at(22101), proxy=ProxyHeader.NONE, check_proxy=True),)),
    "fault-no-header": listen((Server("mx1", at(22101), proxy=ProxyHeader.NONE),)),
    "weights": listen((Server("mx1", at(22101), weight=10), Server("mx2", at(22102), weight=0))),
    "backup": listen((MX, Server("spare", at(22109), backup=True)), extra=("option allbackups",)),
    "queue": listen(
        (Server("mx1", at(22101), maxconn=5, maxqueue=20),), settings=Settings(timeouts=Timeouts(queue=0.25))
    ),
    "timeouts": listen(
        (Server("mx1", at(22101), inter=1, fastinter=0.2, downinter=0.5, rise=1, fall=2),),
        settings=Settings(timeouts=Timeouts(0.5, 3, 3, 1.5, None), nbthread=1, spread_checks=5, log_level="notice"),
    ),
    "ipv6": listen((Server("mx1", at(22101, "::1")),), binds=(Bind(at(22025, "::1")),)),
    "ipv6-to-ipv4": listen(PAIR_V2, binds=(Bind(at(22025, "::1")),)),
    "dual-stack": listen(binds=(Bind(at(22025)), Bind(at(22025, "::1")))),
    "unix-server": listen((Server("mx1", f"unix@{RUN_DIR}/mx.sock", proxy=V2, check=False),)),
    "unix-front": listen(binds=(Bind(f"unix@{RUN_DIR}/in.sock", extra="mode 600"),)),
    "stats-tcp": listen(settings=Settings(stats_tcp=at(22900))),
    "checks-alone": listen(binds=()),
    "several": Listen(
        (
            Listener("smtp", FRONT, PAIR),
            Listener("submission", (Bind(at(22587)),), PAIR_V2),
            Listener("plain", (Bind(at(22026)),), (Server("mx1", at(22101), proxy=ProxyHeader.NONE),), CheckKind.NONE),
        )
    ),
    "chain-v1": Chain(Relay(at(22026), (MX,)), Edge(at(22025))),
    "chain-v2": Chain(Relay(at(22026), PAIR_V2, check=CheckKind.SMTP), Edge(at(22025), V2)),
    "relay-accepts": Chain(Relay(at(22026), (MX,))),
    "relay-expects": Chain(Relay(at(22026), (MX,), RelayMode.EXPECT, ("127.0.0.2", "127.0.0.64/26", "::1"))),
    "relay-expects-of-all": Chain(Relay(at(22026), (MX,), RelayMode.EXPECT)),
    "relay-forwards-tlv": Chain(
        Relay(at(22026), (Server("mx1", at(22101), proxy=V2, tlvs=((0xE0, "%[fc_pp_tlv(0xE0)]"),)),))
    ),
    "tls-v2-ssl": Tls((Bind(at(22465), crt=PEM),), (Server("mx1", at(22101), proxy=ProxyHeader.V2_SSL),)),
    "tls-v2-ssl-cn": Tls(
        (Bind(at(22465), crt=PEM, ca_file=CA),),
        (Server("mx1", at(22101), proxy=ProxyHeader.V2_SSL_CN),),
        CheckKind.SMTP,
    ),
    "tls-v2-options": Tls(
        (Bind(at(22465), crt=PEM, ca_file=CA, verify="required", extra="alpn smtp"),),
        (Server("mx1", at(22101), proxy=V2, v2_options=EVERY_OPTION),),
    ),
    "unique-id": Tls(
        FRONT,
        (Server("mx1", at(22101), proxy=V2, v2_options=("crc32c", "unique-id")),),
        unique_id_format="%{+X}o %ci:%cp_%fi:%fp_%Ts_%rt:%pid",
    ),
    "tlvs": Tls(FRONT, (Server("mx1", at(22101), proxy=V2, tlvs=((0xE1, "id-%[src]"), (0xEA, "%[str(with space)]"))),)),
}


def test_every_template_has_its_topology_and_every_topology_a_scenario() -> None:
    templates = {file.name for file in BUILT_IN_TEMPLATES.glob("*.cfg.j2") if not file.name.startswith("_")}
    kinds = {kind.template: kind for kind in get_args(Topology)}
    assert templates == kinds.keys()
    assert {type(scenario) for scenario in SCENARIOS.values()} == set(kinds.values())


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A self-signed certificate that is its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=mx.example.test",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    certificate = (folder / "cert.pem").read_bytes()
    return {"server.pem": certificate + (folder / "key.pem").read_bytes(), "ca.pem": certificate}


@pytest.mark.haproxy
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_passes_without_a_warning(
    scenario: str, wheel_engine: BinaryEngine, binary_engine: BinaryEngine, certificates: dict[str, bytes]
) -> None:
    for engine in (binary_engine, wheel_engine):
        try:
            text = render_topology(SCENARIOS[scenario], engine.version())
        except UnsupportedByHAProxy:
            assert scenario in ("relay-forwards-tlv", "tlvs")
            assert not engine.version().has("set-proxy-v2-tlv-fmt")
            # The gate is right: HAProxy itself knows nothing of it.
            text = render_topology(SCENARIOS[scenario], LATEST)
            assert any("set-proxy-v2-tlv-fmt" in alert for alert in engine.check(text, files=certificates).alerts)
            continue
        check = engine.check(text, files=certificates)
        assert check.ok, check.output
        assert check.warnings == ()


@pytest.mark.haproxy
@pytest.mark.docker
@pytest.mark.parametrize("scenario", ["several", "tls-v2-options"])
def test_scenarios_pass_in_a_container_too(
    scenario: str, docker_engine: DockerEngine, certificates: dict[str, bytes]
) -> None:
    check = docker_engine.check(render_topology(SCENARIOS[scenario], docker_engine.version()), files=certificates)
    assert check.ok, check.output
    assert check.warnings == ()


def server_line(server: Server, check: CheckKind = CheckKind.SMTP) -> str:
    text = render_topology(listen((server,), check), LATEST)
    (line,) = re.findall(r"^    (server .*)$", text, re.MULTILINE)
    return str(line)


@pytest.mark.parametrize(
    ("server", "check", "line"),
    [
        (MX, CheckKind.SMTP, "server mx1 127.0.0.1:22101 check-send-proxy check inter 1000ms send-proxy"),
        (MX, CheckKind.NONE, "server mx1 127.0.0.1:22101 send-proxy"),
        (
            Server("a", at(1), proxy=V2, inter=0.5, rise=1, fall=2, backup=True, weight=0),
            CheckKind.L4,
            "server a 127.0.0.1:1 check-send-proxy check inter 500ms rise 1 fall 2 send-proxy-v2 weight 0 backup",
        ),
        (
            Server("a", at(1, "::1"), check_proxy=False, check_port=2),
            CheckKind.TCP,
            "server a [::1]:1 check port 2 inter 1000ms send-proxy",
        ),
        (
            Server("a", at(1), proxy=ProxyHeader.NONE, check_proxy=True),
            CheckKind.SMTP,
            "server a 127.0.0.1:1 check-send-proxy check inter 1000ms",
        ),
        (Server("a", at(1), proxy=ProxyHeader.NONE), CheckKind.SMTP, "server a 127.0.0.1:1 check inter 1000ms"),
        (
            Server("a", at(1), proxy=V2, v2_options=("ssl", "crc32c"), tlvs=((0xE0, "$HOME 1"),)),
            CheckKind.NONE,
            r'server a 127.0.0.1:1 send-proxy-v2 proxy-v2-options ssl,crc32c set-proxy-v2-tlv-fmt(0xE0) "\$HOME 1"',
        ),
        (
            Server("a", f"unix@{RUN_DIR}/a", extra="observe layer4"),
            CheckKind.NONE,
            'server a "unix@${PROXYSPEC_RUN_DIR}/a" send-proxy observe layer4',
        ),
    ],
)
def test_server_lines(server: Server, check: CheckKind, line: str) -> None:
    assert server_line(server, check) == line


def test_a_listener_without_a_bind_is_a_backend() -> None:
    assert "\nbackend smtp\n" in render_topology(SCENARIOS["checks-alone"], LATEST)
    assert "\nlisten smtp\n" in render_topology(SCENARIOS["smtpchk"], LATEST)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("plain-1.2_3:/", "plain-1.2_3:/"),
        ("%[src,str(a)]", "%[src,str(a)]"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a#b", '"a#b"'),
        ("it's", '"it\'s"'),
        ('say "hi"', r'"say \"hi\""'),
        ("${HOME}", r'"\${HOME}"'),
        ("back\\slash", r'"back\\slash"'),
        ("1\r\n2\t", r'"1\r\n2\t"'),
        ("\x01\x7f", r'"\x01\x7f"'),
        ("back`tick", '"back`tick"'),
    ],
)
def test_quoting(value: str, quoted: str) -> None:
    assert hapquote(value) == quoted


def test_a_nul_cannot_be_quoted() -> None:
    with pytest.raises(ValueError, match="NUL"):
        hapquote("a\0b")


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_quoted_value_is_one_line(value: str) -> None:
    quoted = hapquote(value)
    assert "\n" not in quoted
    assert "\r" not in quoted


@pytest.mark.haproxy
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20),
        min_size=20,
        max_size=60,
    )
)
def test_haproxy_reads_back_what_was_quoted(values: list[str], binary_engine: BinaryEngine) -> None:
    # `show env` tells what HAProxy made of a `setenv` argument, byte by byte.
    lines = "".join(f"    setenv PROXYSPEC_TEST_{n} {hapquote(value)}\n" for n, value in enumerate(values))
    text = render_topology(listen(binds=()), binary_engine.version()).replace("global\n", f"global\n{lines}", 1)
    with binary_engine.start(text) as running:
        for n, value in enumerate(values):
            assert running.runtime.raw(f"show env PROXYSPEC_TEST_{n}") == f"PROXYSPEC_TEST_{n}={value}\n\n"


def test_a_missing_template_is_named_with_those_there_are(tmp_path: Path) -> None:
    (tmp_path / "mine.cfg.j2").write_text("")
    with pytest.raises(TemplateFailed) as failed:
        render("nosuch.cfg.j2", LATEST, folder=tmp_path)
    message = str(failed.value)
    assert message.startswith("nosuch.cfg.j2: no such template in ")
    assert str(tmp_path) in message
    assert str(BUILT_IN_TEMPLATES) in message
    assert "listen.cfg.j2, mine.cfg.j2" in message


@pytest.mark.parametrize(
    ("source", "line", "complaint"),
    [
        ("global\n{% if %}\n", 2, "Expected an expression"),
        ("global\n\n{{ nosuch }}\n", 3, "'nosuch' is undefined"),
        ("{{ settings.nosuch }}\n", 1, "has no attribute 'nosuch'"),
        ("a\n{{ 1 / 0 }}\n", 2, "ZeroDivisionError"),
        ("a\nb\n{{ 'x' | milliseconds }}\n", 3, "TypeError"),
        ("{{ [] | first | upper }}{{ {}['k'] }}", 1, "No first item"),
        ("{% extends 'nosuch.j2' %}", None, "nosuch.j2: no such template"),
        ("a\n{{ 5 | nosuch }}", 2, "No filter named 'nosuch'"),
    ],
)
def test_a_broken_template_is_named_with_its_line(
    source: str, line: int | None, complaint: str, tmp_path: Path
) -> None:
    template = tmp_path / "broken.cfg.j2"
    template.write_text(source)
    with pytest.raises(TemplateFailed) as failed:
        render("broken.cfg.j2", LATEST, folder=tmp_path)
    assert complaint in str(failed.value)
    if line is not None:
        assert f"{template}, line {line}: " in str(failed.value)


def test_a_missing_parameter_of_a_built_in_template_is_named() -> None:
    with pytest.raises(TemplateFailed, match=r"listen\.cfg\.j2, line \d+: 'listeners' is undefined"):
        render("listen.cfg.j2", LATEST)


def test_a_template_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "binary.cfg.j2").write_bytes(b"global\n\xff\xfe\n")
    with pytest.raises(TemplateFailed, match=r"binary\.cfg\.j2: not UTF-8 .* at byte 7"):
        render("binary.cfg.j2", LATEST, folder=tmp_path)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(TemplateFailed, match="nowhere: not a folder"):
        render_topology(listen(), LATEST, folder=tmp_path / "nowhere")


def test_templates_of_the_user_come_first_and_may_build_on_ours(tmp_path: Path) -> None:
    (tmp_path / "listen.cfg.j2").write_text(
        '{% extends "_base.cfg.j2" %}{% block proxies %}# {{ listeners[0].name }} on {{ hap.series }}{% endblock %}'
    )
    text = render_topology(listen(), LATEST, folder=tmp_path)
    assert "# smtp on 3.4" in text
    assert "hard-stop-after 2000ms" in text


@pytest.mark.parametrize(
    ("scenario", "release", "feature"),
    [
        ("tlvs", HAProxyVersion(2, 8), "set-proxy-v2-tlv-fmt needs HAProxy 2.9"),
        ("relay-forwards-tlv", HAProxyVersion(2, 6), "fc_pp_tlv needs HAProxy 2.9"),
        ("unique-id", HAProxyVersion(2, 0), "proxy-v2-options unique-id needs HAProxy 2.2"),
    ],
)
def test_what_a_release_lacks_is_said_before_anything_is_rendered(
    scenario: str, release: HAProxyVersion, feature: str
) -> None:
    with pytest.raises(UnsupportedByHAProxy, match=feature):
        render_topology(SCENARIOS[scenario], release)
