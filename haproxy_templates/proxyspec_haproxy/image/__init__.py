"""HAProxy images made here, without a registry."""

from proxyspec_haproxy.image.build import BuiltImage, build_image
from proxyspec_haproxy.image.errors import ImageBuildFailed

__all__ = ["BuiltImage", "ImageBuildFailed", "build_image"]
