"""The files of a run directory that go with its report: small texts shown, the rest pointed to with their sizes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from proxyspec_reports import Attachment

__all__ = ["attachments_of"]

#: Bytes of one file that a page shows.
SHOWN = 32 * 1024
#: Files of one run that a page names.
MOST = 40
_TEXTS = (".cfg", ".log", ".txt", ".ndjson")


def attachments_of(run: Path, report: Path) -> tuple[Attachment, ...]:
    """Gather the files below a run's `evidence/`; `report` is the file that will name them by relative paths."""
    folder = run / "evidence" if run.is_dir() else run.parent / "evidence"
    return tuple(_gather(folder, run if run.is_dir() else run.parent, report))


def _gather(folder: Path, run: Path, report: Path) -> Iterator[Attachment]:
    from proxyspec_reports import Attachment

    # A run directory may come from anybody: links could lead out of it.
    found = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    for path in found[:MOST]:
        text = None
        if path.suffix in _TEXTS:
            with path.open("rb") as file:
                text = _legible(file.read(SHOWN + 1))
        yield Attachment(str(path.relative_to(run)), _href(path, report), path.stat().st_size, text)


def _href(path: Path, report: Path) -> str:
    return quote(os.path.relpath(path.resolve(), report.resolve().parent))


def _legible(data: bytes) -> str:
    from proxyspec_reports.printable import show_bytes

    lines = [show_bytes(line, 2000) for line in data[:SHOWN].split(b"\n")]
    return "\n".join(lines) + ("\n… the file has more" if len(data) > SHOWN else "")
