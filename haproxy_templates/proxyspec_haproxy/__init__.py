"""HAProxy itself: its configuration, its engines, its runtime API, its images.

    version = choice.engine.version()               choice = choose_engine("auto")
    text = render_topology(smtp_front(target, ports), version)
    with choice.engine.start(text) as hap:
        hap.runtime.wait_checked("check-smtp-v1")

Everything raised on purpose is an HAProxyError (see errors.py) or, for a bad argument, a ValueError.
"""

from proxyspec_haproxy.checks import ConfigCheck
from proxyspec_haproxy.engines import (
    MATRIX,
    BinaryEngine,
    Choice,
    ConfigRejected,
    DockerEngine,
    Engine,
    EngineUnavailable,
    HAProxy,
    StartFailed,
    choose_all,
    choose_engine,
    sweep,
)
from proxyspec_haproxy.errors import HAProxyError
from proxyspec_haproxy.front import FRONT_CHECKS, FRONT_LISTENERS, FRONT_SERVER, smtp_front
from proxyspec_haproxy.image import BuiltImage, ImageBuildFailed, Provision, build_image, build_missing
from proxyspec_haproxy.render import TemplateFailed, hapquote, render, render_topology
from proxyspec_haproxy.runtime import (
    Check,
    CommandError,
    Info,
    MasterClient,
    Process,
    Reload,
    RuntimeClient,
    RuntimeUnavailable,
    StatRow,
    UnexpectedAnswer,
)
from proxyspec_haproxy.sources import PACKAGE_SOURCES, PackageSource
from proxyspec_haproxy.topology import (
    FILES_DIR,
    RUN_DIR,
    Bind,
    Chain,
    CheckConnect,
    CheckExpect,
    CheckKind,
    CheckRule,
    CheckSend,
    Documented,
    Edge,
    HostPort,
    Listen,
    Listener,
    ProxyHeader,
    Relay,
    RelayMode,
    Server,
    Settings,
    Timeouts,
    Tls,
    Topology,
)
from proxyspec_haproxy.version import FEATURES, HAProxyVersion, UnsupportedByHAProxy

__all__ = [
    "FEATURES",
    "FILES_DIR",
    "FRONT_CHECKS",
    "FRONT_LISTENERS",
    "FRONT_SERVER",
    "MATRIX",
    "PACKAGE_SOURCES",
    "RUN_DIR",
    "BinaryEngine",
    "Bind",
    "BuiltImage",
    "Chain",
    "Check",
    "CheckConnect",
    "CheckExpect",
    "CheckKind",
    "CheckRule",
    "CheckSend",
    "Choice",
    "CommandError",
    "ConfigCheck",
    "ConfigRejected",
    "DockerEngine",
    "Documented",
    "Edge",
    "Engine",
    "EngineUnavailable",
    "HAProxy",
    "HAProxyError",
    "HAProxyVersion",
    "HostPort",
    "ImageBuildFailed",
    "Info",
    "Listen",
    "Listener",
    "MasterClient",
    "PackageSource",
    "Process",
    "Provision",
    "ProxyHeader",
    "Relay",
    "RelayMode",
    "Reload",
    "RuntimeClient",
    "RuntimeUnavailable",
    "Server",
    "Settings",
    "StartFailed",
    "StatRow",
    "TemplateFailed",
    "Timeouts",
    "Tls",
    "Topology",
    "UnexpectedAnswer",
    "UnsupportedByHAProxy",
    "build_image",
    "build_missing",
    "choose_all",
    "choose_engine",
    "hapquote",
    "render",
    "render_topology",
    "smtp_front",
    "sweep",
]
