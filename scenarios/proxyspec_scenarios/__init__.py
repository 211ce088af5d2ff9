"""The cases, load profiles and target profiles: data the harness runs.

Each module of `proxyspec_scenarios.cases` holds a `chapter` of the catalogue; adding one touches no other file.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from proxyspec.casebook import Chapter, catalogue_of
from proxyspec.model import Catalogue
from proxyspec_scenarios import cases
from proxyspec_scenarios.requirements import REQUIREMENTS

__all__ = ["catalogue"]


@cache
def catalogue() -> Catalogue:
    """Return every case of every chapter, chapters in alphabetical order.

    Raises:
        ValueError: two cases share an id, or a control does not exist.
        TypeError: a module of cases holds no chapter.
    """
    chapters = []
    for module in sorted(pkgutil.iter_modules(cases.__path__), key=lambda found: found.name):
        chapter = getattr(importlib.import_module(f"{cases.__name__}.{module.name}"), "chapter", None)
        if not isinstance(chapter, Chapter):
            raise TypeError(f"{cases.__name__}.{module.name} holds no `chapter`: assign a Chapter(…) to that name")
        chapters.append(chapter)
    return catalogue_of(chapters, REQUIREMENTS)
