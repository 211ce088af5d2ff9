"""How the headers of the TCP-level cases become segments, for who runs them."""

from proxyspec_scenarios.cases.tcp import DELIVERIES

__all__ = ["DELIVERIES"]
