"""The target behind a real HAProxy: relayed clients, chained headers, health checks."""

from proxyspec.casebook import REFUSED, Chapter, proxied
from proxyspec.layers.authoring import local, unknown, v1, v2
from proxyspec.model import Level, Via, Who

chapter = Chapter(
    "haproxy",
    section="2",
    requirements={"relay": ("haproxy.relay",), "chain": ("haproxy.chain",), "check": ("haproxy.check",)},
)
accepts, either, check = chapter.accepts, chapter.either, chapter.check

_OTHER = "198.51.100.9"

for _version, _relay, _chain in ((1, Via.RELAY_V1, Via.CHAIN_V1), (2, Via.RELAY_V2, Via.CHAIN_V2)):
    _versions = frozenset({_version})
    accepts(
        f"relay/v{_version}",
        b"",
        "A client behind send-proxy is seen with its own address",
        sees=Who.CLIENT,
        via=_relay,
        versions=_versions,
    )
    either(
        f"relay/v{_version}-forged",
        v1(_OTHER),
        "A header the client itself sends behind HAProxy's is never obeyed",
        proxied(Who.CLIENT),
        REFUSED,
        level=Level.SECURITY,
        via=_relay,
        versions=_versions,
        extra_replies=1,
        expected_errors=16,
        control=f"haproxy/relay/v{_version}",
    )
    accepts(
        f"chain/v{_version}-from-v1",
        v1(),
        "A client two proxies away is seen with its own address",
        via=_chain,
        versions=_versions,
        section="4.1",
    )
    accepts(
        f"chain/v{_version}-from-v2-tcp6",
        v2("2001:db8::1", "2001:db8::2"),
        "An IPv6 client two proxies away is seen with its own address",
        sees="2001:db8::1",
        via=_chain,
        versions=_versions,
        section="4.1",
    )
    accepts(
        f"chain/v{_version}-from-unknown",
        unknown(),
        "Behind UNKNOWN the first proxy's own address is seen",
        sees=Who.CLIENT,
        via=_chain,
        versions=_versions,
        section="4.1",
    )
    accepts(
        f"chain/v{_version}-from-local",
        local(),
        "Behind LOCAL the first proxy's own address is seen",
        sees=Who.CLIENT,
        via=_chain,
        versions=_versions,
        section="4.1",
    )
    check(
        f"check/smtpchk-v{_version}",
        f"check-smtp-v{_version}",
        "HAProxy's SMTP health check finds the target up",
        up=True,
        versions=_versions,
        level=Level.IMPLIED,
    )
    check(
        f"check/tcp-check-v{_version}",
        f"check-tcp-v{_version}",
        "HAProxy's scripted health check finds the target up",
        up=True,
        versions=_versions,
        level=Level.IMPLIED,
    )
