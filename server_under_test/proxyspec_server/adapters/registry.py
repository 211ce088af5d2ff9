"""All adapters, found by importing every file of this package that defines one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType

from proxyspec_server.adapters.contract import Adapter, named
from proxyspec_server.adapters.errors import UnknownServer

__all__ = ["ADAPTERS", "adapter_of"]

_PACKAGE, _, _SELF = __name__.rpartition(".")


def _discovered() -> dict[str, Adapter]:
    found: dict[str, Adapter] = {}
    for module in iter_modules([str(Path(__file__).parent / "servers")]):
        file = import_module(f"{_PACKAGE}.servers.{module.name}")
        for kind in vars(file).values():
            own = isinstance(kind, type) and issubclass(kind, Adapter) and kind.__module__ == file.__name__
            if own and "name" in vars(kind):
                found[kind.name] = kind()
    return found


#: Every adapter by name.
ADAPTERS: Mapping[str, Adapter] = MappingProxyType(dict(sorted(_discovered().items())))


def adapter_of(text: str) -> tuple[Adapter, str]:
    """Return the adapter and the version that NAME or NAME@VERSION asks for.

    Raises:
        UnknownServer: there is none of that name, or it comes in one version alone.
    """
    name, version = named(text)
    if name not in ADAPTERS:
        raise UnknownServer(f"there is no server {name!r}; there are {', '.join(ADAPTERS)}")
    adapter = ADAPTERS[name]
    if version and not adapter.version:
        raise UnknownServer(f"{text}: {name} comes {adapter.origin}, which decides on its version: write {name} alone")
    return adapter, version or adapter.version
