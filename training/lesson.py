"""What a teacher hands to a student: sentences with its answers, and a vector for each word.

The teacher is a large network (`training.teachers`); the student is a small one that the service can run. It learns
what the teacher answers on text that nobody has labelled (Hinton et al. 2015), which says more than a label would: how
sure to be, and of what else. Words begin as the teacher's vectors for them, averaged over where it read them
(Bommasani et al. 2020).
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np

from service.artifact import DataSource
from service.errors import TagwerkError
from service.text.vocabulary import RESERVED, UNK, Vocabulary
from training.config import runs_folder
from training.dataset import Array

FOLDER = "lesson"


class LessonMissing(TagwerkError):  # noqa: N818 (says what happened)
    """A recipe learns from a teacher that has not been asked yet."""


class Sentences:
    """Sentences that stay on disk, in one file, their words divided by spaces.

    Args:
        text: of the file  # [bytes] uint8.
        ends: where each ends in it  # [S] int64.
    """

    def __init__(self, text: Array, ends: Array) -> None:
        self._text, self._ends = text, ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, i: int) -> tuple[str, ...]:
        start = self._ends[i - 1] if i else 0
        return tuple(self._text[start : self._ends[i]].tobytes().decode().rstrip("\n").split(" "))


@dataclass(frozen=True)
class Lesson:
    """Sentences with a teacher's answers. What `read` returns stays on disk, and is read where it is asked for.

    Attributes:
        sentences: their words.
        lengths: numbers of them  # [S] int64.
        answers: by name, of each word, one sentence after the other  # [N, ...], or of each sentence  # [S, ...].
        words: that the teacher has read, lower-case, the most frequent first.
        counts: how often  # [V] int64.
        vectors: of each, its mean over all places  # [V, H] float16.
        sources: where the teacher and the text come from, for the manifest of what learns from them.
    """

    sentences: Sequence[tuple[str, ...]] | Sentences
    lengths: Array
    answers: dict[str, Array]
    words: list[str]
    counts: Array
    vectors: Array
    sources: tuple[DataSource, ...] = ()

    def write(self, recipe: str) -> Path:
        """Writes the lesson of a recipe to `runs/<recipe>/lesson`, all of it or nothing."""
        folder = runs_folder() / recipe / FOLDER
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        lines = [f"{' '.join(self.sentences[i])}\n".encode() for i in range(len(self.sentences))]  # no word has a space
        (partial / "sentences.txt").write_bytes(b"".join(lines))
        arrays = {f"answers-{name}": array for name, array in self.answers.items()}
        arrays |= {"counts": self.counts, "vectors": self.vectors, "lengths": self.lengths}
        arrays["ends"] = np.array(list(accumulate(map(len, lines))))
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array)
        said = {"words": self.words, "sources": [source.model_dump() for source in self.sources]}
        (partial / "lesson.json").write_text(json.dumps(said), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        return partial.rename(folder)

    @classmethod
    def read(cls, recipe: str) -> Self:
        """Reads what `write` wrote. Raises LessonMissing."""
        folder = runs_folder() / recipe / FOLDER
        if not folder.is_dir():
            raise LessonMissing(f"{folder} is not here: run `tagwerk-train teach {recipe}` first")
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
        said = json.loads((folder / "lesson.json").read_text(encoding="utf-8"))
        return cls(
            sentences=Sentences(np.memmap(folder / "sentences.txt", mode="r"), arrays["ends"]),
            lengths=np.array(arrays["lengths"]),
            answers={n.removeprefix("answers-"): a for n, a in arrays.items() if n.startswith("answers-")},
            words=said["words"],
            counts=arrays["counts"],
            vectors=arrays["vectors"],
            sources=tuple(DataSource(**source) for source in said["sources"]),
        )

    def answers_by_word(self, i: int) -> dict[str, Array]:
        """Returns the answers to a sentence, where they are given for each word: by name  # [T, ...]."""
        end = self._ends[i]
        return {name: array[end - self.lengths[i] : end] for name, array in self.answers.items()}

    @cached_property
    def _ends(self) -> Array:
        """Where the words of each sentence end among all words  # [S]."""
        return np.cumsum(self.lengths)

    def embeddings(self, vocabulary: Vocabulary, width: int, scale: float) -> Array:
        """Returns what a table of embeddings begins as: the vectors' first principal components  # [V, I] float32.

        Their standard deviation is `scale`. Words that the teacher has not read, and UNK, are the mean: zero.
        """
        rows = {word: i for i, word in enumerate(self.words)}
        weights = np.sqrt(self.counts)[:, None]
        centred = self.vectors.astype(np.float32)
        centred = centred - (weights * centred).sum(0) / weights.sum()
        _, _, directions = np.linalg.svd((weights * centred)[: 20 * centred.shape[1]], full_matrices=False)
        components = centred @ directions[:width].T
        components *= scale / components.std()
        table = np.zeros((len(vocabulary), width), np.float32)
        for id in range(len(RESERVED), len(vocabulary)):
            if (row := rows.get(vocabulary.string(id).lower())) is not None:
                table[id] = components[row]
        table[UNK] = 0.0
        return table
