"""Where a run's results go beside its directory: files of several formats, standard output, a CI system's summary."""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from proxyspec.cli import streams
from proxyspec.errors import UsageError
from proxyspec.printable import printable
from proxyspec.wholefile import write_whole

if TYPE_CHECKING:
    from proxyspec.records import Run
    from proxyspec_reports import Attachment

__all__ = ["AUTO", "STDOUT", "Format", "Outputs", "render", "write_text"]

#: Names standard output instead of a file.
STDOUT = "-"
#: Names the file a GitHub step has for its summary, or nothing where there is none.
AUTO = "auto"
#: The environment variable with that file's path.
SUMMARY = "GITHUB_STEP_SUMMARY"


class Format(enum.StrEnum):
    """What runs can be turned into."""

    HTML = "html"
    JUNIT = "junit"
    TAP = "tap"
    MARKDOWN = "markdown"
    JSON = "json"


def render(form: Format, runs: Sequence[Run], attachments: Sequence[Sequence[Attachment]] = ()) -> str:
    """Return the whole text; JSON is the run's own record, or an array of them where there are several.

    `attachments` are files of each run's directory, for the page.

    Raises:
        InvalidRun: bytes of a record are not hexadecimal.
    """
    from proxyspec.layers.decode import describe
    from proxyspec_reports import render_html, render_junit, render_markdown, render_tap, view

    match form:
        case Format.HTML:
            return render_html(view(runs, annotate=describe, attachments=attachments))
        case Format.JUNIT:
            return render_junit(runs)
        case Format.TAP:
            return render_tap(runs)
        case Format.MARKDOWN:
            return render_markdown(runs)
        case Format.JSON:
            texts = [run.model_dump_json(indent=1) for run in runs]
            return (texts[0] if len(texts) == 1 else "[" + ",\n".join(texts) + "]") + "\n"


def write_text(path: str, text: str, option: str) -> None:
    """Write a file, whole or not at all, or standard output; `option` is what named it.

    Raises:
        UsageError: it cannot be written, or the text has a name in it that is none in UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        odd = printable(error.object[max(0, error.start - 20) : error.end])
        raise UsageError(f"{option} {path} cannot be written: {odd!r} is not UTF-8; give it another name") from error
    if path == STDOUT:
        streams.write_result(text)
        return
    output = Path(path)
    try:
        if output.exists() and not output.is_file():
            # A device or a pipe is written, never replaced.
            output.write_text(text, encoding="utf-8")
        else:
            write_whole(output, text)
    except OSError as error:
        raise UsageError(
            f"{option} {path} cannot be written: {error.strerror or error}; name another file, or - for standard output"
        ) from error


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a command was asked to write: format -> file, `-` or (Markdown alone) `auto`."""

    files: Mapping[Format, str] = field(default_factory=dict)
    #: One line of JSON an event on standard output, while the run goes on.
    ndjson: bool = False

    @property
    def takes_stdout(self) -> bool:
        """Whether standard output is spoken for, so that people's words go to standard error."""
        return self.ndjson or STDOUT in self.files.values()

    def check(self, out: Path | None = None) -> None:
        """See before a run of half a minute, whose directory is to be `out`, whether its results will have a place.

        Raises:
            UsageError: a file is a directory or lies in none, two outputs want one file or standard output, it is
                closed, or a file is the run's own.
        """
        from proxyspec.rundir import is_own_file

        if self.takes_stdout:
            streams.require_stdout()
        if list(self.files.values()).count(STDOUT) + self.ndjson > 1:
            raise UsageError("standard output can hold one result, and several were to go there: name files")
        taken: dict[Path, str] = {}
        for form, path in self.files.items():
            if path in (STDOUT, AUTO):
                continue
            if out is not None and is_own_file(Path(path), out):
                raise UsageError(f"--{form} {path} is the run's own file: name another")
            if (other := taken.setdefault(Path(path).resolve(), f"--{form} {path}")) != f"--{form} {path}":
                raise UsageError(f"{other} and --{form} {path} are one file: name two")
            parent = next(folder for folder in [*Path(path).parents, Path()] if folder.exists())
            if Path(path).is_dir() or not parent.is_dir() or not os.access(parent, os.W_OK):
                raise UsageError(f"--{form} {path} cannot be written: name a file in a directory that is yours")

    def write(self, *runs: Run) -> None:
        """Write everything that was asked for, with all of `runs` in it; one that fails does not keep the rest away.

        Raises:
            UsageError: a file cannot be written.
        """
        failed = []
        for form, path in self.files.items():
            text = render(form, runs)
            try:
                if path == AUTO:
                    _append_summary(text)
                else:
                    write_text(path, text, f"--{form}")
            except UsageError as error:
                failed.append(str(error))
        if failed:
            raise UsageError("; ".join(failed))


def _append_summary(text: str) -> None:
    path = os.environ.get(SUMMARY)
    if not path:
        print(f"proxyspec: --markdown auto: {SUMMARY} is not set, so there is no summary to write", file=sys.stderr)
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"{SUMMARY}={path} cannot be written: {error.strerror or error}") from error
