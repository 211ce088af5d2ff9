"""The rules, one function each; a module in this folder is found by itself."""

from importlib import import_module
from pkgutil import iter_modules

from proxyspec_haproxy.config.findings import RULES

__all__ = ["RULES"]

for _module in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_module}")
