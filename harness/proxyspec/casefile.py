"""Case files: raw headers with what conforms, as JSON or TOML that a person can write and a run can judge by.

One format, for cases of one's own, for published vectors of others, and for what a search found; its JSON Schema is
`docs/cases.schema.json`.
"""

from __future__ import annotations

import ipaddress
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.functional_validators import AfterValidator

from proxyspec.errors import UsageError
from proxyspec.layers.authoring import v1, v2
from proxyspec.model import ACCEPTED, Accept, Capability, Case, Catalogue, HalfClose, Level, OutcomeKind, Send, Who

__all__ = ["CaseEntry", "CaseFile", "case_file_schema", "catalogue_from", "entry_of"]

#: A case file may come from anybody: a larger one is refused unread, in bytes.
MAX_FILE = 64 * 1024 * 1024
#: Ids that begin so are those of the controls.
_CONTROL = "control/"


def _hexadecimal(text: str) -> str:
    try:
        return bytes.fromhex(text).hex()
    except ValueError as error:
        raise ValueError(f"these are not bytes in hexadecimal, two digits each ({error})") from error


def _address(text: str | None) -> str | None:
    if text is None or text in set(Who):
        return text
    return str(ipaddress.ip_address(text))


def _free(case_id: str) -> str:
    if case_id.startswith(_CONTROL):
        raise ValueError(f"ids that begin with {_CONTROL} are those of the controls: choose another")
    return case_id


Hex = Annotated[
    str,
    AfterValidator(_hexadecimal),
    Field(min_length=2, description="bytes in hexadecimal; blanks between them do not count"),
]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AcceptEntry(_Strict):
    """One outcome that conforms."""

    kind: OutcomeKind
    address: Annotated[str | None, AfterValidator(_address)] = Field(
        default=None, description="the session's address; 'peer' is the TCP peer's own; left out: not asked"
    )


class CaseEntry(_Strict):
    """One frame, what conforms, and where it comes from."""

    id: Annotated[str, AfterValidator(_free), Field(pattern=r"^[a-z0-9][a-z0-9._/-]*$")]
    title: str = Field(min_length=1, description="what a conformant receiver does, in one sentence")
    section: str = Field(default="2", description="section of the PROXY protocol text, or an RFC with its section")
    level: Level = Field(default=Level.MUST, description="what breaking the rule is worth; EITHER: recorded only")
    send: Hex
    half_close: bool = Field(default=False, description="a FIN follows the bytes")
    accepts: list[AcceptEntry] = Field(min_length=1, description="any of these conforms")
    expected_errors: int = Field(default=0, ge=0, description="error replies that bytes behind the header may provoke")
    versions: list[Literal[1, 2]] = Field(
        default=[], description="header versions the target must speak, else the case is SKIP"
    )
    needs: list[Capability] = Field(default=[], description="capabilities the target must have, else it is SKIP")
    control: Hex | None = Field(
        default=None,
        description="a header that must be served for a refusal to count; by default a plain one of the same version",
    )
    premise: str | None = Field(
        default=None, description="id of the case that asks whether this header is refused, where this one asks how"
    )
    made: str = Field(default="", description="where the bytes come from, in words")
    seen: str = Field(default="", description="what a target did with them")

    @property
    def control_header(self) -> bytes | None:
        """The header of its control; None where only a session conforms, which needs no control."""
        if self.control is not None:
            return bytes.fromhex(self.control)
        if all(one.kind in ACCEPTED for one in self.accepts):
            return None
        return v2() if self.send.startswith("0d") else v1()

    def case(self, control: str | None) -> Case:
        """Return the case, paired with the control of this id."""
        data = bytes.fromhex(self.send)
        return Case(
            id=self.id,
            title=self.title,
            section=self.section,
            level=self.level,
            steps=(Send(data), HalfClose()) if self.half_close else (Send(data),),
            accept=tuple(
                Accept(one.kind, Who(one.address) if one.address in set(Who) else one.address) for one in self.accepts
            ),
            control=control,
            premise=self.premise,
            expected_errors=self.expected_errors,
            versions=frozenset(self.versions),
            needs=frozenset(self.needs),
            waits=True,
        )


class CaseFile(_Strict):
    """A file of cases."""

    schema_version: Literal[1] = 1
    kind: Literal["cases"] = "cases"
    cases: list[CaseEntry] = Field(min_length=1)

    @classmethod
    def load(cls, path: Path) -> CaseFile:
        """Read a case file: TOML if its name ends in `.toml`, JSON otherwise.

        Raises:
            UsageError: it cannot be read, or is none; the message names the file and the place.
        """
        try:
            if path.stat().st_size > MAX_FILE:
                raise UsageError(f"{path} is larger than {MAX_FILE} bytes: not a case file")
            text = path.read_bytes()
        except OSError as error:
            raise UsageError(f"the case file {path} cannot be read: {error.strerror or error}") from error
        try:
            return cls.model_validate(_parsed(path, text))
        except ValidationError as error:
            raise UsageError(f"{path} is not a case file: {_fault(error)}") from error


def _parsed(path: Path, text: bytes) -> Any:
    try:
        return tomllib.loads(text.decode()) if path.suffix == ".toml" else json.loads(text)
    except (ValueError, RecursionError) as error:
        language = "TOML" if path.suffix == ".toml" else "JSON (a file in TOML has a name that ends in .toml)"
        raise UsageError(f"{path} is not a case file: it is no {language}: {error}") from error


def _fault(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the top level"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where}: {message}; docs/targets.md says what a case file holds, `proxyspec fuzz` writes such files"


def entry_of(case: Case, control: Case, *, made: str, seen: str) -> CaseEntry:
    """Write a case of one segment down for its file."""
    return CaseEntry(
        id=case.id,
        title=case.title,
        section=case.section,
        level=case.level,
        send=case.header.hex(),
        half_close=any(isinstance(step, HalfClose) for step in case.steps),
        accepts=[AcceptEntry(kind=one.kind, address=one.address) for one in case.accept],
        expected_errors=case.expected_errors,
        control=control.header.hex(),
        made=made,
        seen=seen,
    )


def catalogue_from(paths: Sequence[Path]) -> Catalogue:
    """Return the cases of these files with their controls.

    Raises:
        UsageError: a file is no case file, different cases have one id, or a premise is none of them.
    """
    cases: dict[str, Case] = {}
    controls: dict[bytes, Case] = {}
    for path in paths:
        for entry in CaseFile.load(path).cases:
            header = entry.control_header
            control = None if header is None else controls.setdefault(header, _control(len(controls) + 1, header))
            case = entry.case(None if control is None else control.id)
            if cases.setdefault(case.id, case) != case:
                raise UsageError(f"{path} holds another case {case.id} than stands before it: give it an id of its own")
    try:
        return Catalogue((*controls.values(), *cases.values()))
    except ValueError as error:
        raise UsageError(f"{', '.join(map(str, paths))}: {error}") from error


def _control(number: int, header: bytes) -> Case:
    return Case(
        id=f"{_CONTROL}{number}",
        title="The header beside it is served",
        section="2",
        level=Level.MUST,
        steps=(Send(header),),
        accept=(Accept(OutcomeKind.ACCEPTED_PROXIED),),
    )


def case_file_schema() -> str:
    """Return the JSON Schema of the case file, indented."""
    schema = CaseFile.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "proxyspec cases"}
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"
