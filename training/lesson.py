"""What a teacher hands to a student: sentences with its answers, and a vector for each word.

The teacher is a large network (`training.teachers`); the student is a small one that the service can run. It learns
what the teacher answers on text that nobody has labelled (Hinton et al. 2015), which says more than a label would: how
sure to be, and of what else. Words begin as the teacher's vectors for them, averaged over where it read them
(Bommasani et al. 2020).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np

from service.artifact import DataSource
from service.errors import TagwerkError
from service.text.vocabulary import RESERVED, UNK, Vocabulary
from training.checkpoint import replace_file
from training.config import runs_folder
from training.dataset import Array

FILE = "lesson.npz"


class LessonMissing(TagwerkError):  # noqa: N818 (says what happened)
    """A recipe learns from a teacher that has not been asked yet."""


@dataclass(frozen=True)
class Lesson:
    """Sentences with a teacher's answers.

    Attributes:
        sentences: their words.
        answers: by name, of each word, one sentence after the other  # [N, ...], or of each sentence  # [S, ...].
        words: that the teacher has read, lower-case, the most frequent first.
        counts: how often  # [V] int64.
        vectors: of each, its mean over all places  # [V, H] float16.
        sources: where the teacher and the text come from, for the manifest of what learns from them.
    """

    sentences: list[tuple[str, ...]]
    answers: dict[str, Array]
    words: list[str]
    counts: Array
    vectors: Array
    sources: tuple[DataSource, ...] = ()

    def write(self, recipe: str) -> Path:
        """Writes the lesson of a recipe to `runs/<recipe>/lesson.npz`, all of it or nothing."""
        path = runs_folder() / recipe / FILE
        arrays = {f"answers/{name}": array for name, array in self.answers.items()}
        arrays |= {"counts": self.counts, "vectors": self.vectors, "words": _as_bytes("\n".join(self.words))}
        arrays["sources"] = _as_bytes(json.dumps([source.model_dump() for source in self.sources]))
        arrays["sentences"] = _as_bytes("\n".join(map(" ".join, self.sentences)))  # tokens hold no white space
        replace_file(path, arrays)
        return path

    @classmethod
    def read(cls, recipe: str) -> Self:
        """Reads what `write` wrote. Raises LessonMissing."""
        path = runs_folder() / recipe / FILE
        if not path.is_file():
            raise LessonMissing(f"{path} is not here: run `tagwerk-train teach {recipe}` first")
        with np.load(path) as arrays:
            answers = {name.removeprefix("answers/"): arrays[name] for name in arrays if name.startswith("answers/")}
            sentences = [tuple(line.split(" ")) for line in _as_text(arrays["sentences"]).split("\n")]
            words = _as_text(arrays["words"]).split("\n")
            sources = tuple(DataSource(**source) for source in json.loads(_as_text(arrays["sources"])))
            return cls(sentences, answers, words, arrays["counts"], arrays["vectors"], sources)

    def of_each_sentence(self, name: str) -> list[Array]:
        """Returns the answers of one name, given for each word, sentence by sentence: [T, ...] of each."""
        ends = np.cumsum([len(sentence) for sentence in self.sentences])
        return np.split(self.answers[name], ends[:-1])

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


def _as_bytes(text: str) -> Array:
    return np.frombuffer(text.encode(), np.uint8)


def _as_text(array: Array) -> str:
    return array.tobytes().decode()
