"""The user's own haproxy.cfg: checked by HAProxy and by rules, and tried on loopback."""

__all__: list[str] = []
