"""haproxy.cfg text from a Jinja2 template, with the user's templates in front of the built-in ones."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Final

import jinja2

from proxyspec_haproxy.errors import HAProxyError
from proxyspec_haproxy.topology import Server, Settings, Topology, milliseconds
from proxyspec_haproxy.version import HAProxyVersion

__all__ = ["BUILT_IN_TEMPLATES", "TemplateFailed", "hapquote", "render", "render_topology"]

BUILT_IN_TEMPLATES: Final = Path(__file__).with_name("templates")

_NEEDS_NO_QUOTES: Final = re.compile(r"[A-Za-z0-9_@%.,:/+=^()\[\]{}|<>&*?!~-]+")
_ESCAPES: Final = {'"': r"\"", "\\": r"\\", "$": r"\$", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


class TemplateFailed(HAProxyError):
    """A template is missing or broken; the message names its file, the line and the remedy."""


def hapquote(value: str) -> str:
    r"""Quote one argument of haproxy.cfg so that HAProxy reads exactly this value.

    Control characters become \xNN. Raises ValueError for a NUL, which no argument can hold.
    """
    if "\0" in value:
        raise ValueError(f"{value!r}: an argument in haproxy.cfg cannot hold a NUL character")
    if _NEEDS_NO_QUOTES.fullmatch(value):
        return value
    return '"' + "".join(_ESCAPES.get(c) or (f"\\x{ord(c):02x}" if c < " " or c == "\x7f" else c) for c in value) + '"'


def _place(value: object) -> str:
    """Write an address or path between double quotes where it holds one of our variables (see topology.RUN_DIR)."""
    text = str(value)
    return f'"{text}"' if "$" in text else text


def _environment(folder: Path | None) -> jinja2.Environment:
    folders = [BUILT_IN_TEMPLATES] if folder is None else [folder, BUILT_IN_TEMPLATES]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the result is haproxy.cfg, not HTML
    )
    environment.filters.update(hapquote=hapquote, place=_place, milliseconds=milliseconds)
    return environment


def _servers_in(value: object) -> Iterator[Server]:
    if isinstance(value, Server):
        yield value
    elif is_dataclass(value) and not isinstance(value, type):
        for item in fields(value):
            yield from _servers_in(getattr(value, item.name))
    elif isinstance(value, Mapping):
        yield from _servers_in(value.values())
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for element in value:
            yield from _servers_in(element)


def _failing_line(error: BaseException, folders: Iterable[Path]) -> str:
    """Where in a template an error arose: Jinja2 rewrites tracebacks to template lines; the innermost one counts."""
    place = ""
    known = tuple(str(folder) for folder in folders)
    traceback = error.__traceback__
    while traceback is not None:
        filename = traceback.tb_frame.f_code.co_filename
        if filename.startswith(known) and filename.endswith((".j2", ".cfg")):
            place = f"{filename}, line {traceback.tb_lineno}: "
        traceback = traceback.tb_next
    return place


def render(
    template: str,
    version: HAProxyVersion,
    *,
    folder: Path | None = None,
    settings: Settings | None = None,
    **parameters: object,
) -> str:
    """Render a template, found by name in `folder` first and among the built-in ones second.

    The template sees its parameters, `settings`, and the release as `hap`. Raises UnsupportedByHAProxy when a server
    among the parameters needs more than this release has, TemplateFailed when the template is missing or broken.
    """
    if folder is not None and not folder.is_dir():
        raise TemplateFailed(f"{folder}: not a folder; name one that holds *.cfg.j2 files")
    for server in _servers_in(parameters):
        for feature in sorted(server.features):
            version.need(feature)
    folders = [BUILT_IN_TEMPLATES] if folder is None else [folder, BUILT_IN_TEMPLATES]
    try:
        text = (
            _environment(folder)
            .get_template(template)
            .render(parameters, hap=version, settings=settings if settings is not None else Settings())
        )
    except jinja2.TemplateNotFound as error:
        places = " or ".join(map(str, folders))
        there = ", ".join(sorted({path.name for place in folders for path in place.glob("*.cfg.j2")}))
        raise TemplateFailed(f"{error.name}: no such template in {places}; there are {there}") from error
    except jinja2.TemplateSyntaxError as error:
        place = error.filename or error.name or template
        raise TemplateFailed(f"{place}, line {error.lineno}: {error.message}; mend the template") from error
    except jinja2.UndefinedError as error:
        place = _failing_line(error, folders) or f"{template}: "
        raise TemplateFailed(
            f"{place}{error.message}; pass that parameter, or correct the name in the template"
        ) from error
    except UnicodeDecodeError as error:
        raise TemplateFailed(
            f"{template}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except OSError as error:
        raise TemplateFailed(f"{error.filename or template}: {error.strerror}; make the file readable") from error
    except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError, jinja2.TemplateError) as error:
        place = _failing_line(error, folders) or f"{template}: "
        raise TemplateFailed(
            f"{place}{type(error).__name__}: {error}; correct that expression in the template"
        ) from error
    return text


def render_topology(topology: Topology, version: HAProxyVersion, *, folder: Path | None = None) -> str:
    """Render a topology with the template made for its kind; raises as `render` does."""
    parameters = {item.name: getattr(topology, item.name) for item in fields(topology)}
    return render(topology.template, version, folder=folder, **parameters)
