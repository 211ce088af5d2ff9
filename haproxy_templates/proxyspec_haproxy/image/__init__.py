"""HAProxy images made here, without a registry."""

from proxyspec_haproxy.image.build import BuiltImage, build_image
from proxyspec_haproxy.image.errors import ImageBuildFailed
from proxyspec_haproxy.image.every import Provision, build_missing

__all__ = ["BuiltImage", "ImageBuildFailed", "Provision", "build_image", "build_missing"]
