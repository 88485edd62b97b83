"""Sentiment: encodes a text's tokens as ids, decodes class probabilities to a label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from service.artifact.version import ModelVersion
from service.text.encoding import Ids, encode_tokens
from service.text.vocabulary import UNK
from service.types import Array, Tensors

CONTRIBUTIONS = "contributions"  # an output with a time axis
EXPLANATION = frozenset({CONTRIBUTIONS, "baseline"})  # optional outputs of a model
NOTHING = np.array([UNK], np.int32)  # the input for a blank text


@dataclass(frozen=True, slots=True)
class Classification:
    """The most probable label, and the probability of each."""

    label: str
    scores: dict[str, float]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Explains a label in log-odds, ln p - ln (1 - p): `baseline` and `contributions` sum to `score`.

    Attributes:
        score: the log-odds of the label; of a text in windows, their mean, weighted by length.
        baseline: the log-odds without any word.
        contributions: what each token adds.
    """

    score: float
    baseline: float
    contributions: list[float]


class Sentiment:
    """Encodes texts for a classifier, and decodes its outputs.

    Attributes:
        labels: in the order of the scores.
    """

    def __init__(self, version: ModelVersion, longest: int) -> None:
        self.version = version
        self.longest = longest
        ((_, self.labels),) = version.manifest.labels.items()
        self._words = version.vocabularies["words"]
        self.explains = version.manifest.endpoint.outputs.keys() >= EXPLANATION

    def encode(self, tokens: Sequence[str]) -> list[Ids]:
        """Returns the word ids of a text  # [T] int32; of a long one, in windows of about equal length."""
        ids = encode_tokens(tokens, self._words) if tokens else NOTHING
        if len(ids) <= self.longest:
            return [ids]
        return np.array_split(ids, -(-len(ids) // self.longest))

    def decode(self, probabilities: Array, lengths: Sequence[int]) -> Classification:
        """Returns a text's classification: the mean over its windows, weighted by length.

        probabilities: of each window  # [N, K] float32.
        """
        whole = probabilities[0] if len(lengths) == 1 else np.average(probabilities, axis=0, weights=lengths)
        scores = {label: round(p, 6) for label, p in zip(self.labels, whole.tolist(), strict=True)}
        return Classification(max(scores, key=scores.__getitem__), scores)

    def explain(self, outputs: Tensors, lengths: Sequence[int], label: str, tokens: int) -> Explanation:
        """Returns what each token of a text adds to a label. `outputs` of its windows include those of EXPLANATION."""
        k = self.labels.index(label)
        weights = np.array(lengths) / sum(lengths)
        contributions = np.repeat(weights, lengths) * outputs[CONTRIBUTIONS][:, k]
        baseline = float(np.dot(outputs["baseline"][:, k], weights))
        score = baseline + float(contributions.sum())
        if not tokens:  # a blank text's input token is none of its own
            contributions, baseline = contributions[:0], score
        return Explanation(round(score, 6), round(baseline, 6), contributions.astype(float).round(6).tolist())
