"""The common root of everything this package raises on purpose.

    HAProxyError
    ├── UnsupportedByHAProxy   version.py   this release lacks a feature the configuration needs
    ├── TemplateFailed         render.py    a template is missing or broken
    ├── RuntimeUnavailable     runtime.py   a runtime socket cannot be reached, or answers too slowly or too much
    ├── UnexpectedAnswer       runtime.py   a runtime socket answered something this client cannot read
    ├── CommandError           runtime.py   HAProxy refused a command
    ├── EngineUnavailable      engines/     Docker, an image or a binary cannot be used here
    ├── ConfigRejected         engines/     `haproxy -c` said no
    ├── StartFailed            engines/     HAProxy did not get ready
    └── ImageBuildFailed       image.py     an image could not be built

Every message names what was wrong, where, and what to do about it; it is fit to be shown to a user as it is.
"""

from __future__ import annotations

__all__ = ["HAProxyError"]


class HAProxyError(Exception):
    """Root of this package's exceptions."""
