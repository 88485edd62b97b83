"""Distillation sets: sentences with the outputs of a teacher, and a vector for each word.

The teacher is a large network (`training.teachers`); the student is a small one that the service can run. The student
learns the teacher's probabilities on unlabelled text (Hinton et al. 2015), which hold more than a label: how probable
every other label is. Its word embeddings start from the teacher's word vectors, averaged over all occurrences
(Bommasani et al. 2020).
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np

from service.artifact.manifest import DataSource
from service.errors import TagwerkError
from service.text.vocabulary import RESERVED, UNK, Vocabulary
from training.data.dataset import Array
from training.folders import runs_folder

FOLDER = "distillation"


class DistillationSetMissing(TagwerkError):  # noqa: N818 (named after its cause)
    """A recipe has a teacher whose distillation set has not been written yet."""


class StoredSentences:
    """StoredSentences in one file on disk, read one at a time; spaces separate the words.

    Args:
        text: the bytes of the file, uint8, shape [bytes].
        ends: the offset after each sentence, int64, shape [S].
    """

    def __init__(self, text: Array, ends: Array) -> None:
        self._text, self._ends = text, ends

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, i: int) -> tuple[str, ...]:
        start = self._ends[i - 1] if i else 0
        return tuple(self._text[start : self._ends[i]].tobytes().decode().rstrip("\n").split(" "))


@dataclass(frozen=True)
class DistillationSet:
    """StoredSentences with a teacher's outputs. `read` maps the files into memory and loads only what is used.

    Attributes:
        sentences: the words of each sentence.
        lengths: words per sentence, int64, shape [S].
        outputs: the teacher's outputs by name, either per word, sentence after sentence, shape [N, ...], or per
            sentence, shape [S, ...].
        words: every word that the teacher read, in lower case, the most frequent first.
        counts: occurrences of each word, int64, shape [V].
        vectors: the mean vector of each word over its occurrences, float16, shape [V, H].
        sources: origin of the teacher and of the text, for the student's manifest.
        labels: of each head of a tagger, whose numbers its outputs are.
    """

    sentences: Sequence[tuple[str, ...]] | StoredSentences
    lengths: Array
    outputs: dict[str, Array]
    words: list[str]
    counts: Array
    vectors: Array
    sources: tuple[DataSource, ...] = ()
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def numbered(self, labels: Mapping[str, Sequence[str]]) -> Self:
        """Returns the set with the numbers of other labels; a label that is not among them gets no share."""
        outputs = dict(self.outputs)
        for head in self.labels.keys() & labels.keys():
            if tuple(own := self.labels[head]) != tuple(labels[head]):
                places = {label: place for place, label in enumerate(labels[head])}
                ids = np.array([places.get(label, -1) for label in own], np.int32)[outputs[head]]
                shares = outputs[f"{head}_shares"]
                outputs[head] = np.maximum(ids, 0)
                outputs[f"{head}_shares"] = np.where(ids < 0, 0, shares).astype(shares.dtype)
        return replace(self, outputs=outputs, labels=labels)

    @staticmethod
    def is_here(recipe: str) -> bool:
        """Returns whether `write` has written the set of a recipe."""
        return (runs_folder() / recipe / FOLDER).is_dir()

    def write(self, recipe: str) -> Path:
        """Writes the set to `runs/<recipe>/distillation`, atomically, and returns the folder."""
        folder = runs_folder() / recipe / FOLDER
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        lines = [f"{' '.join(self.sentences[i])}\n".encode() for i in range(len(self.sentences))]  # no word has a space
        (partial / "sentences.txt").write_bytes(b"".join(lines))
        arrays = {f"outputs-{name}": array for name, array in self.outputs.items()}
        arrays |= {"counts": self.counts, "vectors": self.vectors, "lengths": self.lengths}
        arrays["ends"] = np.array(list(accumulate(map(len, lines))))
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array)
        sources = [source.model_dump() for source in self.sources]
        contents = {"words": self.words, "sources": sources, "labels": dict(self.labels)}
        (partial / "distillation.json").write_text(json.dumps(contents), encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        return partial.rename(folder)

    @classmethod
    def read(cls, recipe: str) -> Self:
        """Reads what `write` wrote. Raises DistillationSetMissing."""
        folder = runs_folder() / recipe / FOLDER
        if not cls.is_here(recipe):
            raise DistillationSetMissing(f"{folder} is not here: run `tagwerk-train teach {recipe}` first")
        arrays = {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")}
        contents = json.loads((folder / "distillation.json").read_text(encoding="utf-8"))
        if "labels" not in contents:  # the numbers of another recipe's labels would be learned as those of this one's
            fault = f"{folder} is of an earlier release, and does not say what labels it has"
            raise DistillationSetMissing(f"{fault}: run `tagwerk-train teach {recipe}` again")
        return cls(
            sentences=StoredSentences(np.memmap(folder / "sentences.txt", mode="r"), arrays["ends"]),
            lengths=np.array(arrays["lengths"]),
            outputs={n.removeprefix("outputs-"): a for n, a in arrays.items() if n.startswith("outputs-")},
            words=contents["words"],
            counts=arrays["counts"],
            vectors=arrays["vectors"],
            sources=tuple(DataSource(**source) for source in contents["sources"]),
            labels=contents["labels"],
        )

    def outputs_by_word(self, i: int) -> dict[str, Array]:
        """Returns the outputs per word of sentence i by name, each of shape [T, ...]."""
        end = self._ends[i]
        return {name: array[end - self.lengths[i] : end] for name, array in self.outputs.items()}

    @cached_property
    def _ends(self) -> Array:
        """The index after the last word of each sentence among all words, shape [S]."""
        return np.cumsum(self.lengths)

    def embeddings(self, vocabulary: Vocabulary, width: int, scale: float) -> Array:
        """Returns initial word embeddings: the first principal components of the vectors, float32, shape [V, width].

        Their standard deviation is `scale`. UNK and words that the teacher has not read get the mean, which is 0.
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
