"""Corrections of models' answers, in the files MODEL.1.jsonl, MODEL.2.jsonl and so on; the last is appended to.

Several processes append, each a whole line of JSON in one write under a lock. A process that is killed within the write
leaves a line without an end, which readers skip; the next correction begins a new line.
"""

import errno
import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from pydantic import Field, ValidationError

from service.errors import ConfigurationError, NotPossible, NotStored
from service.files import FileModel, first_fault, locked

FILE_BYTES = 16 * 2**20  # of a file, at most
MOST_FILES = 16  # of a model; then no more are accepted until some are moved away
_NAME = re.compile(r"(.+)\.([1-9][0-9]*)\.jsonl")


class CorrectedToken(FileModel):
    """A token and its offsets in code points, with the tags that are right: the model's own, except those in `was`."""

    text: str
    start: int
    end: int
    continues: bool = False  # see `TokenSpan`
    upos: str
    xpos: str
    feats: str = "_"
    lemma: str | None = None
    was: Mapping[str, str] = {}


class Correction(FileModel):
    """A text with what is right of it: the tags of its tokens, or a label. `was` is a label that the model gave."""

    time: datetime
    model: str
    version: str
    text: str
    spaced: bool = True  # whether the text was sent, rather than its tokens, joined here by spaces
    sentences: tuple[tuple[CorrectedToken, ...], ...] = ()
    label: str | None = None
    was: str | None = None
    request_id: str | None = None
    key: str | None = Field(None, description="The id of the API key that sent it.")

    def changes(self) -> list[tuple[str, str, str, str]]:
        """Returns what the model gave wrongly: the token or "", the column or "label", what was, and what is right."""
        of_label = [("", "label", self.was, self.label or "")] if self.was is not None else []
        tokens = (token for sentence in self.sentences for token in sentence)
        return of_label + [(t.text, column, was, getattr(t, column)) for t in tokens for column, was in t.was.items()]


class CorrectionFiles:
    """The files of corrections in a folder."""

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        """Raises ConfigurationError for a folder that cannot be used; `create` makes it, for writing."""
        self._folder = folder
        try:
            if create:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.models()
        except OSError as error:
            raise ConfigurationError(f"TAGWERK_FEEDBACK_DIR is {str(folder)!r}: {error.strerror}") from None
        if create and not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigurationError(f"TAGWERK_FEEDBACK_DIR is {str(folder)!r}, in which no file can be made")

    def models(self) -> list[str]:
        """Returns the names of the models that have corrections."""
        return sorted({match[1] for match in self._names()})

    def append(self, correction: Correction) -> None:
        """Appends a correction, and waits until the disk has it. Blocks. Raises NotStored, and leaves no part of it."""
        line = correction.model_dump_json(exclude_defaults=True).encode() + b"\n"
        file = -1
        try:
            with locked(self._folder / correction.model):
                path = self._current(correction.model, len(line))
                file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                _write(file, line)
            os.fsync(file)
        except (OSError, NotPossible) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise NotStored(f"the correction is not stored, in TAGWERK_FEEDBACK_DIR: {reason}") from error
        finally:
            if file >= 0:
                os.close(file)

    def read(self, model: str) -> Iterator[Correction | str]:
        """Yields a model's corrections, the oldest first; for a line that is none, what is wrong with it."""
        for path in self._paths(model):
            with path.open("rb") as file:
                for number, line in enumerate(file, start=1):
                    try:
                        yield Correction.model_validate_json(line)
                    except ValidationError as error:
                        yield f"{path}, line {number} is skipped: {first_fault(error)}"

    def _paths(self, model: str) -> list[Path]:
        found = sorted((int(match[2]), match[0]) for match in self._names() if match[1] == model)
        return [self._folder / name for _, name in found]

    def _names(self) -> Iterator[re.Match[str]]:
        return filter(None, (_NAME.fullmatch(path.name) for path in self._folder.iterdir()))

    def _current(self, model: str, size: int) -> Path:
        """Returns the file for a line of `size` bytes. Raises OSError if there are too many."""
        paths = self._paths(model)
        if paths and paths[-1].stat().st_size + size <= FILE_BYTES:
            return paths[-1]
        if len(paths) >= MOST_FILES:
            full = f"there are {len(paths)} files of {model} already: export them, then move them away"
            raise OSError(errno.EDQUOT, full)
        number = int(paths[-1].name.split(".")[-2]) + 1 if paths else 1
        return self._folder / f"{model}.{number}.jsonl"


def _write(file: int, line: bytes) -> None:
    """Appends a line in one write, or nothing. Begins with a line end if the file ends within a line."""
    size = os.fstat(file).st_size
    if size and os.pread(file, 1, size - 1) != b"\n":
        line = b"\n" + line
    try:
        if os.write(file, line) < len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError:
        os.ftruncate(file, size)
        raise
