"""What is written beside an output: a record from which a run resumes, and a manifest of what was made."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from service.errors import TagwerkError

REJECTED = ".rejected.jsonl"
COMPANIONS = (".partial", ".progress", ".progress.new", REJECTED, ".manifest.json")
FINISHED = ".finished"  # behind the partial file's name, what a finisher makes of it
SHA256_CHARACTERS = 64
DIGEST_CHARACTERS = 16  # that are shown
MOST_LEFT_OUT = 0.01  # of the rows, or of the lines
FORMAT_VERSION = 5  # increment when this record, or the bytes of any annotation, change


class UnusableOutput(TagwerkError):  # noqa: N818 (says what happened)
    """The output cannot be written, or was begun by a run with other settings."""


class Progress(BaseModel):
    """The contents of `<output>.progress`.

    Attributes:
        format_version: 1 in records without one.
        facts: everything that determines the bytes of the output, by name.
        input: the position in the input after the output.
        output_bytes, rejected_bytes: valid bytes of the partial file, and of the file of bad rows.
        rows, rejected: rows that were annotated, and bad ones.
        rejected_lines: lines of the bad ones.
    """

    format_version: int = 1
    facts: dict[str, object]
    input: Annotated[tuple[NonNegativeInt, ...], Field(min_length=2, max_length=3)]
    output_bytes: NonNegativeInt
    rejected_bytes: NonNegativeInt = 0
    rows: NonNegativeInt = 0
    rejected: NonNegativeInt = 0
    rejected_lines: NonNegativeInt = 0


class Manifest(BaseModel):
    """The contents of `<output>.manifest.json`: what was made of which input, and how.

    Attributes:
        output, output_bytes, output_sha256: the file's name, size and SHA-256.
        rows, rejected: rows that were annotated, and bad ones.
        lines, rejected_lines: lines of the input, and those of bad rows.
        input: the input's path.
        facts: as in `Progress`; among them are the model's versions, and the SHA-256 of the input.
    """

    output: str
    output_bytes: NonNegativeInt
    output_sha256: str
    rows: NonNegativeInt
    rejected: NonNegativeInt
    lines: NonNegativeInt = 0
    rejected_lines: NonNegativeInt = 0
    input: str
    facts: dict[str, str]


def leaves_out_too_many(rows: int, rejected: int, lines: int, rejected_lines: int) -> bool:
    """Returns whether more than MOST_LEFT_OUT of an input's rows, or of its lines, are bad.

    `rows` are those that are annotated; `lines` are all of the input.
    """
    return rejected > MOST_LEFT_OUT * (rows + rejected) or rejected_lines > MOST_LEFT_OUT * lines


def differences(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Describes each fact that differs."""
    pairs = [(name, before.get(name), now.get(name)) for name in dict.fromkeys((*before, *now))]
    return [
        f"{f'no {name}' if one is None else f'{name} {_brief(one)}'}, not {_brief(other)}"
        for name, one, other in pairs
        if one != other
    ]


def _brief(value: object) -> str:
    """Returns a fact as it is shown: of a checksum, the beginning."""
    text = "none" if value is None else str(value)
    return text[:DIGEST_CHARACTERS] if len(text) == SHA256_CHARACTERS else text


def companions(path: Path) -> tuple[Path, Path, Path, Path, Path]:
    """Returns the files beside an output: partial file, record, next record being written, bad rows, manifest."""
    partial, progress, scratch, rejected, manifest = (path.with_name(path.name + end) for end in COMPANIONS)
    return partial, progress, scratch, rejected, manifest


def read_manifest(path: Path) -> Manifest | None:
    """Returns the manifest of an output; None if there is none that is valid."""
    try:
        return Manifest.model_validate_json(companions(path)[-1].read_bytes())
    except (OSError, ValidationError):
        return None
