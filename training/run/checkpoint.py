"""Checkpoints: everything that a run needs to resume, in one file that is replaced atomically."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from service.errors import TagwerkError
from training.folders import replace_file
from training.tasks.base import Task

PROGRESS = "progress"


class CheckpointError(TagwerkError):
    """A checkpoint is missing, unreadable, of other settings or data, or cannot be written."""


@dataclass
class Progress:
    """The progress of a run.

    For each epoch, `better` has whether it was the best on dev until then, and `history` its loss on train and, where
    there are labels, on dev, and its metrics.
    """

    epochs: int = 0
    best: float | None = None
    best_epoch: int = 0
    seconds: float = 0.0
    better: list[bool] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


class Checkpoints:
    """The two files of a run: `checkpoint.npz`, to resume, and `best.npz`, the weights of the best epoch."""

    def __init__(self, runs: Path, task: Task) -> None:
        self.folder = runs / task.recipe.name
        self.resume = self.folder / "checkpoint.npz"
        self.best = self.folder / "best.npz"
        self._settings = repr(task.recipe) + " ".join(source.sha256 for source in task.data)

    def save(self, variables: Sequence[Any], progress: Progress) -> None:
        """Replaces the checkpoint."""
        self._write(self.resume, variables, progress)

    def restore(self, variables: Sequence[Any]) -> Progress:
        """Restores the variables from the checkpoint, if there is one, and returns the progress of the run."""
        return self._read(self.resume, variables) if self.resume.exists() else Progress()

    def discard_others(self) -> None:
        """Removes the files of a run under the same name that had other settings or data, or cannot be read."""
        for path in (self.resume, self.best):
            try:
                if path.exists():
                    self._read(path, ())
            except CheckpointError:
                self.resume.unlink(missing_ok=True)
                self.best.unlink(missing_ok=True)

    def save_best(self, weights: Sequence[Any], progress: Progress) -> None:
        """Replaces the weights of the best epoch."""
        self._write(self.best, weights, progress)

    def restore_best(self, weights: Sequence[Any]) -> Progress:
        """Restores the weights of the best epoch."""
        if not self.best.exists():
            raise CheckpointError(f"{self.best} is not here: train the recipe first")
        return self._read(self.best, weights)

    def _write(self, path: Path, variables: Sequence[Any], progress: Progress) -> None:
        arrays = {str(i): variable.numpy() for i, variable in enumerate(variables)}
        text = json.dumps({"settings": self._settings, **asdict(progress)})
        try:
            replace_file(path, lambda file: np.savez(file, allow_pickle=False, **{PROGRESS: np.array(text)}, **arrays))
        except OSError as error:
            raise CheckpointError(
                f"{path} cannot be written: {error.strerror}; the same command goes on from the epoch before"
            ) from error

    def _read(self, path: Path, variables: Sequence[Any]) -> Progress:
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                content = json.loads(str(arrays[PROGRESS]))
                if content.pop("settings") != self._settings:
                    raise CheckpointError(
                        f"{path} is of other settings or data of this recipe: remove {self.folder} to start anew"
                    )
                for i, variable in enumerate(variables):
                    variable.assign(arrays[str(i)])
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise CheckpointError(f"{path} cannot be read ({error}): remove {self.folder}") from error
        return Progress(**content)
