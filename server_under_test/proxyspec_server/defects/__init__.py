"""Seeded defects: one server that is wrong in one place, for each way in which servers have been wrong.

Beside them stand variations: servers that differ in one place and are right all the same.

A defect is a class that overrides one decision of a sound class, in the file of its family; `seeded` tells the rest
about it. Whatever stands in a file of this package is found by itself. Sound code knows nothing of defects.
"""

from proxyspec_server.defects.registry import DEFECTS
from proxyspec_server.defects.seed import Defect, seeded
from proxyspec_server.defects.variations import VARIATIONS, Variation

__all__ = ["DEFECTS", "VARIATIONS", "Defect", "Variation", "seeded"]
