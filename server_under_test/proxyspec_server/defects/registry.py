"""All defects, found by importing every file of this package."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import MappingProxyType

from proxyspec_server.defects.seed import Defect, all_seeded

_PACKAGE, _, _SELF = __name__.rpartition(".")

for _module in iter_modules([str(Path(__file__).parent)]):
    if _module.name != _SELF:
        import_module(f"{_PACKAGE}.{_module.name}")

DEFECTS: Mapping[str, Defect] = MappingProxyType(all_seeded())
"""All defects by name."""
