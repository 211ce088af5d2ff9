"""`proxyspec export`: the catalogue for programs in other languages."""

from __future__ import annotations

from typing import Annotated

import typer

from proxyspec.cli.outputs import STDOUT, write_text
from proxyspec.errors import ExitCode

__all__ = ["app"]

app = typer.Typer(help="The catalogue as data for other programs.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    pass


@app.command("vectors")
def vectors(
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FILE", help="The file; - is standard output.")
    ] = STDOUT,
    schema: Annotated[bool, typer.Option("--schema", help="Write the file's JSON Schema instead.")] = False,
) -> int:
    """Write every case as a language-neutral test vector: bytes with gaps, what conforms, the control.

    Example:

      proxyspec export vectors -o proxy-protocol-vectors.json
    """
    from proxyspec.vectors import vector_schema, vectors_of

    if schema:
        text = vector_schema()
    else:
        from proxyspec_scenarios import catalogue

        text = vectors_of(catalogue())
    write_text(output, text, "-o")
    if output != STDOUT:
        print(f"{'schema' if schema else 'vectors'}: {output} ({len(text) // 1024} KiB)")
    return ExitCode.OK
