"""Case files: frames worth sending again, with what conforms, as JSON that a person can read and a run can replay."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.functional_validators import AfterValidator

from proxyspec.errors import UsageError
from proxyspec.model import Accept, Case, Catalogue, HalfClose, Level, OutcomeKind, Send, Who

__all__ = ["CaseEntry", "CaseFile", "catalogue_from", "entry_of"]

#: A case file may come from anybody: a larger one is refused unread, in bytes.
MAX_FILE = 64 * 1024 * 1024


def _hexadecimal(text: str) -> str:
    bytes.fromhex(text)
    return text


def _address(text: str | None) -> str | None:
    if text is None or text in set(Who):
        return text
    return str(ipaddress.ip_address(text))


Hex = Annotated[str, AfterValidator(_hexadecimal), Field(min_length=2, description="bytes in hexadecimal")]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AcceptEntry(_Strict):
    """One outcome that conforms."""

    kind: OutcomeKind
    address: Annotated[str | None, AfterValidator(_address)] = Field(
        default=None, description="the session's address; 'peer' is the TCP peer's own"
    )


class CaseEntry(_Strict):
    """One frame, what conforms, and how it was found."""

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._/-]*$")
    title: str = Field(min_length=1)
    section: str
    level: Level
    send: Hex
    half_close: bool = Field(default=False, description="a FIN follows the bytes")
    accepts: list[AcceptEntry] = Field(min_length=1)
    expected_errors: int = Field(default=0, ge=0)
    control: Hex = Field(description="a header that must be served for a refusal to count")
    made: str = Field(default="", description="the valid header it comes from, and the malformations, in words")
    seen: str = Field(default="", description="what the target did when it was found")

    def case(self, control: str) -> Case:
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
            expected_errors=self.expected_errors,
            waits=True,
        )


class CaseFile(_Strict):
    """A file of cases."""

    schema_version: Literal[1] = 1
    kind: Literal["cases"] = "cases"
    cases: list[CaseEntry]

    @classmethod
    def load(cls, path: Path) -> CaseFile:
        """Read a case file.

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
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the top level"
            raise UsageError(
                f"{path} is not a case file: {first['msg']} at {where}; `proxyspec fuzz` writes such files into the "
                "folder findings/ of its run directory"
            ) from error


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
        UsageError: a file is no case file, or two of them hold different cases of one id.
    """
    cases: dict[str, Case] = {}
    controls: dict[str, Case] = {}
    for path in paths:
        for entry in CaseFile.load(path).cases:
            control = controls.setdefault(
                entry.control,
                Case(
                    id=f"control/{len(controls) + 1}",
                    title="The header beside it is served",
                    section="2",
                    level=Level.MUST,
                    steps=(Send(bytes.fromhex(entry.control)),),
                    accept=(Accept(OutcomeKind.ACCEPTED_PROXIED),),
                ),
            )
            case = entry.case(control.id)
            if cases.setdefault(case.id, case) != case:
                raise UsageError(f"{path} holds another case {case.id} than a file before it: replay them one by one")
    return Catalogue((*controls.values(), *cases.values()))
