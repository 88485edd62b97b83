"""The interface of a task to the training loop, the evaluation and the export."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeAlias, runtime_checkable

import keras
import numpy as np

from service.artifact import manifest as artifact
from service.errors import ConfigurationError
from service.text.lemmatizer import Lemmatizer
from service.text.segmenter import Segmenter
from service.text.vocabulary import PAD, UNK, Vocabulary
from training.cells import Tensor
from training.cells.integers import round_rows
from training.data.dataset import Array, Batch, Batches, Example, collate, length_sorted
from training.metrics.predictions import Predictions, by_group
from training.tasks.recipe import Recipe
from training.tasks.reference import CONFIDENCE_BINS, Reference

Tensors: TypeAlias = dict[str, Tensor]
Predict: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]  # an endpoint on NumPy arrays
State: TypeAlias = Any  # carried from batch to batch: () or nested tuples of tensors


def predict_all(
    predict: Predict, examples: Sequence[Example], batch_tokens: int
) -> Iterator[tuple[int, dict[str, Array]]]:
    """Runs an endpoint on batches of examples of similar length.

    Args:
        batch_tokens: the most positions of a batch, including padding.

    Yields:
        The index of an example and its outputs by name, those with a time axis padded.
    """
    for rows in length_sorted([len(example) for example in examples], batch_tokens):
        outputs = predict(collate([examples[i] for i in rows]).inputs)
        for row, i in enumerate(rows):
            yield i, {name: output[row] for name, output in outputs.items()}


@runtime_checkable
class Rounded(Protocol):
    """A network whose served step can multiply states in integers, see `training.cells.integers`."""

    def round_weights(self) -> list[str]:
        """Turns the weights of the step into integers; returns the names of those that stay floats."""

    def restore_weights(self) -> None:
        """Turns integers into floats again."""


@dataclass(frozen=True)
class Part:
    """An endpoint beside the main one: a step of its computation.

    Attributes:
        compute: inputs by name -> outputs by name.
        variables: used by it, beside the weights of the network.
    """

    endpoint: artifact.Endpoint
    compute: Callable[..., Tensors]
    variables: tuple[Any, ...] = ()


@dataclass(frozen=True)
class AttentionWeights:
    """The attention weights of each step of a decoder.

    Attributes:
        read: the symbols of the text that it read, T of them.
        generated: the symbols that it generated, and the word "end": L of them.
        weights: of each generated symbol on each symbol that was read; a row sums to 1  # [L, T].
    """

    read: list[str]
    generated: list[str]
    weights: Array

    @classmethod
    def to_the_end(cls, read: list[str], ids: Array, weights: Array, string: Callable[[int], str]) -> Self:
        """Leaves out what was generated behind the end, the first PAD.

        Args:
            ids: of the generated symbols, int32, shape [L].
            string: returns the symbol of an id.
        """
        ended = ids == PAD
        length = int(ended.argmax()) if ended.any() else len(ids) - 1
        return cls(read, [*map(string, ids[:length].tolist()), "end"], weights[: length + 1])


def projection(
    project: Callable[..., Tensor],
    words: dict[str, artifact.TensorSpec],
    rows: tuple[str | int, int],
    rounded: int | None = None,
) -> Part:
    """Returns the endpoint "project", which computes the input products of words.

    The product of a word is the same at every position, so that a service can cache it.

    Args:
        project: `words` -> the products, of shape `rows`: one row per word, or per entry of a whole vocabulary.
        rounded: directions of rows that are rounded, see `training.cells.integers.round_rows`; None leaves floats.
    """

    def compute(**given: Tensor) -> Tensors:
        products = project(**given)
        if rounded is None:
            return {"projected": products}
        integers, scales = round_rows(products, rounded)
        return {"projected": integers, "scales": scales}

    return Part(artifact.Endpoint(inputs=words, outputs=table_specs("projected", rows, rounded)), compute)


def table_specs(name: str, rows: tuple[str | int, int], rounded: int | None) -> dict[str, artifact.TensorSpec]:
    """Returns the tensors of a table of input products of this name; for the other arguments see `projection`."""
    if rounded is None:
        return {name: artifact.TensorSpec(dtype="float32", axes=rows)}
    scales = artifact.TensorSpec(dtype="float32", axes=(rows[0], rounded))
    return {name: artifact.TensorSpec(dtype="int8", axes=rows), "scales": scales}


class Task(ABC):
    """A task on its corpora: examples, network, loss, endpoint, metrics.

    A subclass builds its vocabularies from the train split, or from its teacher's distillation set if it has one.

    Attributes:
        kind: the task as a manifest names it; None for one that is measured and never served.
        endpoint_name, endpoint: the main signature that is exported; `predict` computes it.
        chosen_by: name of the metric on dev that selects the best epoch.
        lower_is_better: whether a lower value of that metric is better.
        data, vocabularies, labels, tokenizer, lengths, length_buckets: as in artifact.Manifest.
        lemmatizer: of a tagger, finds lemmas by the rules that it gives; None by default.
        segmenter: the learned part of the tokenizer; None by default.
        command: the command line that makes the model, for the manifest.
    """

    kind: ClassVar[artifact.Task | None] = None
    endpoint_name: ClassVar[str]
    lower_is_better: ClassVar[bool] = False

    recipe: Recipe
    chosen_by: str
    endpoint: artifact.Endpoint
    data: tuple[artifact.DataSource, ...]
    vocabularies: dict[str, Vocabulary]
    labels: dict[str, tuple[str, ...]]
    tokenizer: str | None
    lengths: dict[int, int]
    length_buckets: tuple[int, ...]
    lemmatizer: Lemmatizer | None = None
    segmenter: Segmenter | None = None
    command: str = ""

    @abstractmethod
    def network(self) -> keras.Model:
        """Builds a network with initial weights."""

    @abstractmethod
    def train_batches(self, rng: np.random.Generator) -> Batches:
        """Returns the batches of one epoch, to be iterated over once."""

    def weight(self, batch: Batch) -> float:
        """Returns the number of items that the loss of a batch is the mean of; words by default."""
        return batch.tokens

    def initial_state(self) -> State:
        """Returns the state at the start of an epoch; () where batches are independent."""
        return ()

    @abstractmethod
    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        """Returns the mean loss over the valid positions of a batch, and the state for the next."""

    @abstractmethod
    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        """Computes the main endpoint, with the inputs and outputs that `endpoint` declares."""

    def parts(self, model: keras.Model) -> dict[str, Part]:
        """Returns further endpoints by name: steps of the main one that a service runs separately; none by default."""
        return {}

    @abstractmethod
    def evaluate(self, predict: Predict, split: str) -> tuple[artifact.Metric, ...]:
        """Measures the main endpoint, in training or exported, on a split: "dev" or "test"."""

    def samples(self, predict: Predict) -> dict[str, str]:
        """Returns sample outputs by prompt; none by default."""
        return {}

    def attend(self, model: keras.Model, text: str) -> AttentionWeights:
        """Returns the attention weights of each step on a text. Raises ConfigurationError where there is no decoder."""
        raise ConfigurationError(f"{self.recipe.name} has no decoder with attention")

    def predictions(self, predict: Predict, split: str) -> dict[str, Predictions]:
        """Returns the predictions for a split by kind of label; {} where there are no labels."""
        return {}

    def encoded(self, split: str) -> dict[str, Array]:
        """Returns the ids of everything in a split, by vocabulary: int32, shape [N]; PAD counts as nothing."""
        return {}

    def reference(self, predict: Predict) -> Reference:
        """Returns what the main endpoint makes of dev."""
        encoded, predictions = self.encoded("dev"), self.predictions(predict, "dev")
        counts = [len(given.gold) for given in predictions.values()] or [len(ids) for ids in encoded.values()]
        ends = np.linspace(0, 1, CONFIDENCE_BINS + 1)
        return Reference(
            items=max(counts, default=0),
            unknown={name: round(float(np.mean(ids[ids != PAD] == UNK)), 6) for name, ids in encoded.items()},
            labels={
                kind: {self.labels[kind][i]: int(n) for i, n in enumerate(np.bincount(given.labels)) if n}
                for kind, given in predictions.items()
            },
            confidence={
                kind: tuple(np.histogram(given.probabilities.max(axis=-1), ends)[0].tolist())
                for kind, given in predictions.items()
            },
        )

    def scores(self, predict: Predict, split: str) -> tuple[Array, Array]:
        """Returns sums and sizes by sentence or text, shape [N], whose ratio is the first metric of `evaluate`."""
        predictions = next(iter(self.predictions(predict, split).values()))
        return by_group(predictions.groups, predictions.right)

    def dev_loss(self, predict: Predict) -> float | None:
        """Returns the cross-entropy of the labels of dev, summed over their kinds, in nats; None without labels."""
        predictions = self.predictions(predict, "dev").values()
        return sum(given.cross_entropy for given in predictions) if predictions else None

    def evaluate_text(self, predict: Predict, split: str) -> tuple[artifact.Metric, ...]:
        """Measures the endpoint from raw text; no metrics by default."""
        return ()

    def learn_segmenter(self) -> None:
        """Learns `segmenter` from train and dev, in seconds to a minute. Does nothing by default."""
        return

    def compact(self, model: keras.Model) -> None:
        """Quantizes the largest tables of a trained model to 8 bits, in place. Does nothing by default."""
        return

    def round_weights(self, model: keras.Model) -> list[str]:
        """Turns the weights of the served step into integers, in place; returns those that must stay floats.

        Does nothing for a network that has no such step.
        """
        return model.round_weights() if isinstance(model, Rounded) else []

    def restore_weights(self, model: keras.Model) -> None:
        """Turns integers into floats again, in place."""
        if isinstance(model, Rounded):
            model.restore_weights()

    def calibrate(self, model: keras.Model, predict: Predict) -> None:
        """Scales the logits of a trained model so that probabilities match accuracy on dev. Does nothing by default."""
        return

    def learn_exceptions(self, predict: Predict) -> None:
        """Keeps what a trained network gets wrong in a lexicon. Does nothing by default."""
        return

    def goldens(self) -> list[Example]:
        """Returns a few short, varied examples of dev, which are exported with their outputs; none by default."""
        return []

    def better(self, value: float, best: float | None) -> bool:
        """Returns whether a value of the metric `chosen_by` is better than the best so far."""
        return best is None or (value < best if self.lower_is_better else value > best)
