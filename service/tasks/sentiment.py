"""Sentiment: encodes a text's tokens as ids, decodes class probabilities to a label."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

import numpy as np

from service.artifact.manifest import ModelVersion
from service.text.vocabulary import UNK
from service.types import Array, Tensors

if TYPE_CHECKING:
    from service.tasks.dictionary import Dictionary

CONTRIBUTIONS = "contributions"  # an output with a time axis
EXPLANATION = frozenset({CONTRIBUTIONS, "baseline"})  # optional outputs of a model
NEGATIVE, POSITIVE = "negative", "positive"  # labels; a model with both gives texts a score
SCORE = "score"


@dataclass(frozen=True, slots=True)
class Classification:
    """The most probable label, and the probability of each.

    Attributes:
        score: the probability of "positive" minus the probability of "negative", -1 to 1; None unless both are labels.
    """

    label: str
    scores: dict[str, float]
    score: float | None = None


def has_score(labels: Collection[str]) -> bool:
    """Returns whether texts that have these labels have a score."""
    return NEGATIVE in labels and POSITIVE in labels


@dataclass(frozen=True, slots=True)
class Explanation:
    """Explains a label in log-odds, ln p - ln (1 - p): `baseline` and `contributions` sum to `score`.

    Attributes:
        label: the label that is explained, which need not be the most probable.
        score: the log-odds of the label; of a text in windows, their mean, weighted by length.
        baseline: the log-odds without any word.
        contributions: what each token adds.
    """

    label: str
    score: float
    baseline: float
    contributions: list[float]


class Sentiment:
    """Encodes texts for a classifier, and decodes its outputs.

    Attributes:
        labels: in the order of the scores.
        cut: texts that were encoded in windows; its reader sets it to 0.
        dictionary: which words are ignored, if there is one.
    """

    dictionary: "Dictionary | None" = None

    def __init__(self, version: ModelVersion, longest: int) -> None:
        self.version = version
        self.longest = longest
        self.cut = 0
        ((_, self.labels),) = version.manifest.labels.items()
        self.has_score = has_score(self.labels)
        self._words = version.vocabularies["words"]
        self.explains = version.manifest.endpoint.outputs.keys() >= EXPLANATION

    def encode(self, tokens: Sequence[str], ids: list[int]) -> Sequence[int]:
        """Appends the ids of a text's words to `ids`; returns the lengths of its windows.

        A long text has several windows, of about equal length. A blank text is one unknown word.
        """
        ids += self._words.ids(tokens) if tokens else (UNK,)
        count = len(tokens) or 1
        if count <= self.longest:
            return (count,)
        self.cut += 1
        windows = -(-count // self.longest)
        shorter, longer = divmod(count, windows)
        return [shorter + 1] * longer + [shorter] * (windows - longer)

    def decode(self, probabilities: Array, lengths: Sequence[int]) -> Classification:
        """Returns a text's classification: the mean over its windows, weighted by length.

        probabilities: of each window  # [N, K] float32.
        """
        whole = probabilities[0] if len(lengths) == 1 else np.average(probabilities, axis=0, weights=lengths)
        rounded = list(map(round, whole.tolist(), repeat(6)))
        scores = dict(zip(self.labels, rounded, strict=True))
        score = round(scores[POSITIVE] - scores[NEGATIVE], 6) if self.has_score else None
        return Classification(self.labels[rounded.index(max(rounded))], scores, score)

    def explain(self, outputs: Tensors, lengths: Sequence[int], label: str, tokens: int) -> Explanation:
        """Returns what each token of a text adds to a label. `outputs`: of its windows, EXPLANATION among them."""
        k = self.labels.index(label)
        weights = np.array(lengths) / sum(lengths)
        contributions = np.repeat(weights, lengths) * outputs[CONTRIBUTIONS][:, k]
        baseline = float(np.dot(outputs["baseline"][:, k], weights))
        score = baseline + float(contributions.sum())
        if not tokens:  # a blank text's input token is not one of its tokens
            contributions, baseline = contributions[:0], score
        return Explanation(label, round(score, 6), round(baseline, 6), contributions.astype(float).round(6).tolist())
