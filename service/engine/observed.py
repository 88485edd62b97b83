"""Counts what a model version reads and gives, beside what it made of its dev split.

Batches wait until there are some, and are counted together. The metrics get the counts at each `Metrics.flush`.
"""

from collections import Counter

import numpy as np

from service.artifact.manifest import CONFIDENCE_BINS, PROBABILITIES, ModelVersion, Reference
from service.telemetry.metrics import Metrics
from service.text.vocabulary import UNK
from service.types import Outputs, Tensors

READ = {"word": ("words", "word_ids"), "character": ("characters", "char_ids")}  # kind: vocabulary, input
KNOWN, UNKNOWN = "known", "unknown"
CONFIDENCE, LABEL = "confidence", "label"
UPOS = "upos"
BEST_UPOS = ("upos_id", "upos_probability")
MOST_LABELS = 40  # that have a series of their own
OTHERS = "others"  # the value of all further labels
MOST_CELLS = 8192  # that wait to be counted; a tagger keeps 52 bytes of each
BINS = CONFIDENCE_BINS // 2  # of the series; fewer have less chance in them
BIN_NAMES = [f"{number / BINS:.1f}" for number in range(BINS)]  # the lower end of each bin
BELOW_END = BINS * (1 - 1e-6)  # so that a probability of 1 is in the last bin

Value = tuple[str, str]  # a kind, and one of its values


class Observed:
    """Counts the words, characters, labels and confidences of the batches of a tagger or classifier.

    The labels of a tagger are those of UPOS. A window, or a sentence that is classified, counts as what it is to the
    model: a sequence of its own.
    """

    def __init__(self, version: ModelVersion, metrics: Metrics) -> None:
        """Adds the series of a version to the metrics, and its reference, if it has one."""
        manifest, endpoint = version.manifest, version.manifest.endpoint
        self._per_token = manifest.task == "tag"
        head = UPOS if self._per_token else next(iter(manifest.labels), "")
        self._labels = [label_name(i, label) for i, label in enumerate(manifest.labels.get(head, ()))]
        self._read = {kind: name for kind, (_, name) in READ.items() if name in endpoint.inputs}
        values = [(kind, value) for kind in self._read for value in (KNOWN, UNKNOWN)]
        values += [(CONFIDENCE, value) for value in BIN_NAMES] + [(LABEL, value) for value in self._labels]
        self._waiting: list[tuple[Tensors, Outputs]] = []
        self._cells = 0  # of those
        self._counts = Counter[Value]()
        self._series = {value: metrics.model_observed.labels(*version.key, *value) for value in values}
        for counter in (metrics.model_texts, metrics.model_cut):
            counter.labels(*version.key)  # from 0 on, so that the first texts are an increase
        if version.reference is not None:
            for value, share in reference_shares(version.reference, head, manifest.labels.get(head, ())).items():
                metrics.model_reference.labels(*version.key, *value).set(share)
        metrics.on_flush.append(self.flush)

    def add(self, inputs: Tensors, outputs: Outputs, cells: int) -> None:
        """Adds a batch. inputs: padded, [B, T, ...], with so many `cells` [B, T]."""
        self._waiting.append((inputs, outputs))
        self._cells += cells
        if self._cells > MOST_CELLS:
            self._count()

    def flush(self) -> None:
        """Adds the counts since the last call to the metrics."""
        if self._waiting:
            self._count()
        for value, count in self._counts.items():
            self._series[value].inc(count)
        self._counts.clear()

    def _count(self) -> None:
        """Counts what waits: together, since NumPy's calls take longer than the work on a small batch."""
        waiting, self._waiting, self._cells = self._waiting, [], 0
        for kind, name in self._read.items():
            ids = np.concatenate([inputs[name].ravel() for inputs, _ in waiting])
            unknown = int(np.count_nonzero(ids == UNK))
            self._counts[kind, KNOWN] += int(np.count_nonzero(ids)) - unknown
            self._counts[kind, UNKNOWN] += unknown
        if not self._labels:
            return
        if self._per_token:
            labels, confidence = (np.concatenate([outputs.timed[n] for _, outputs in waiting]) for n in BEST_UPOS)
        else:
            probabilities = np.concatenate([outputs.others[PROBABILITIES] for _, outputs in waiting])  # [N, K]
            labels, confidence = probabilities.argmax(1), probabilities.max(1)
        bins = (confidence * BELOW_END).astype(np.uint8)
        for kind, values, numbers in ((CONFIDENCE, BIN_NAMES, bins), (LABEL, self._labels, labels)):
            for value, count in zip(values, np.bincount(numbers).tolist(), strict=False):
                self._counts[kind, value] += count


def reference_shares(reference: Reference, head: str, labels: tuple[str, ...]) -> dict[Value, float]:
    """Returns the share of each value of each kind that a reference has."""
    shares: dict[Value, float] = {}
    for kind, (vocabulary, _) in READ.items():
        if (unknown := reference.unknown.get(vocabulary)) is not None:
            shares |= {(kind, KNOWN): 1 - unknown, (kind, UNKNOWN): unknown}
    counts = Counter[Value]()
    for i, count in enumerate(reference.confidence.get(head, ())):
        counts[CONFIDENCE, BIN_NAMES[i * BINS // CONFIDENCE_BINS]] += count
    for i, label in enumerate(labels):
        counts[LABEL, label_name(i, label)] += reference.labels.get(head, {}).get(label, 0)
    for kind in (CONFIDENCE, LABEL):
        of_kind = {value: count for value, count in counts.items() if value[0] == kind}
        if total := sum(of_kind.values()):
            shares |= {value: count / total for value, count in of_kind.items()}
    return shares


def label_name(number: int, label: str) -> str:
    """Returns the value of the series of a label, by its number."""
    return label if number < MOST_LABELS else OTHERS
