"""Proof that the suite bites: it tells every seeded defect from the sound server, and leaves variations alone."""

from proxyspec.mutants.matrix import SOUND, Kind, Mutant
from proxyspec.mutants.nursery import Bench, Serve
from proxyspec.mutants.trial import Matrix, kill_matrix

__all__ = ["SOUND", "Bench", "Kind", "Matrix", "Mutant", "Serve", "kill_matrix"]
