"""The one thing that can be told to a user whose image could not be built."""

from __future__ import annotations

from proxyspec_haproxy.errors import HAProxyError

__all__ = ["ImageBuildFailed"]


class ImageBuildFailed(HAProxyError):
    """No image was built; the message names the step, the cause and the remedy. Nothing of the attempt is left."""
