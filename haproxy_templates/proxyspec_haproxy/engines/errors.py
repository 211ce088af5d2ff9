"""What can go wrong between choosing an engine and a running HAProxy."""

from __future__ import annotations

from proxyspec_haproxy.checks import ConfigCheck
from proxyspec_haproxy.errors import HAProxyError

__all__ = ["ConfigRejected", "EngineUnavailable", "StartFailed"]


class EngineUnavailable(HAProxyError):
    """Docker, an image or a binary cannot be used here; the message says why and what to do."""


class ConfigRejected(HAProxyError):
    """`haproxy -c` refused a configuration; `check` carries HAProxy's own [ALERT] lines."""

    def __init__(self, check: ConfigCheck) -> None:
        super().__init__(f"HAProxy refuses this configuration:\n{check.reason}")
        self.check = check
        self.alerts = check.alerts


class StartFailed(HAProxyError):
    """HAProxy took the configuration and did not get ready; `log` is what it said."""

    def __init__(self, reason: str, log: str) -> None:
        super().__init__(f"{reason}\n{log}".rstrip())
        self.log = log
