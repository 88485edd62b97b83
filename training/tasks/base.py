"""What the training loop, the evaluation and the export need of a task."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias, TypeVar, runtime_checkable

import keras
import numpy as np

from service.artifact import manifest as artifact
from service.text.segmenter import Segmenter
from service.text.vocabulary import Vocabulary
from training.cells import Tensor
from training.data.dataset import Array, Batches, Example, collate, length_sorted
from training.metrics.predictions import Predictions, by_group
from training.models.lemmatizer import LearnedLemmatizer
from training.tasks.endpoints import EndpointFunction, Tensors
from training.tasks.recipe import Settings

Predict: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]  # an endpoint on NumPy arrays
State: TypeAlias = Any  # carried from batch to batch: () or nested tuples of tensors


def predict_all(
    predict: Predict, examples: Sequence[Example], batch_tokens: int = 2000
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


class Recipe(Settings, ABC):
    """The settings of a run, from which its task is made."""

    @abstractmethod
    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Task":
        """Loads the corpora and returns the task, ready to train.

        Args:
            vocabularies: by name, of a model that is to be measured; by default built from the train split.
        """


AnyRecipe = TypeVar("AnyRecipe", bound=Recipe)


@runtime_checkable
class Rounded(Protocol):
    """A network whose served step can multiply states in integers, see `training.cells.integers`."""

    def round_weights(self) -> list[str]:
        """Turns the weights of the step into integers; returns the names of weights that stay floats."""

    def restore_weights(self) -> None:
        """Turns integers into floats again."""


@runtime_checkable
class Counted(Protocol):
    """A network that is not trained: it counts what the train split has."""

    def count(self, train: Any) -> None:
        """Sets the weights. train: the examples of the train split, or the ids of its text."""


class Task(ABC):
    """A task on its corpora, as the training loop and the evaluation need it.

    Attributes:
        endpoint_name, endpoint: the main signature; `predict` computes it.
        chosen_by: name of the metric on dev that selects the best epoch.
        lower_is_better: whether a lower value of that metric is better.
        labels: by the name of their kind.
        data: what it learns from, as in artifact.Manifest; () of a task that no manifest describes.
    """

    endpoint_name: ClassVar[str]
    lower_is_better: ClassVar[bool] = False

    recipe: Recipe
    chosen_by: str
    endpoint: artifact.Endpoint
    labels: dict[str, tuple[str, ...]]
    data: tuple[artifact.DataSource, ...] = ()

    @abstractmethod
    def network(self) -> keras.Model:
        """Builds a network with initial weights."""

    @abstractmethod
    def train_batches(self, rng: np.random.Generator) -> Batches:
        """Returns the batches of one epoch, to be iterated over once."""

    def initial_state(self) -> State:
        """Returns the state at the start of an epoch; () where batches are independent."""
        return ()

    @abstractmethod
    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        """Returns the mean loss over the valid positions of a batch, and the state for the next."""

    @abstractmethod
    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        """Computes the main endpoint, with the inputs and outputs that `endpoint` declares."""

    @abstractmethod
    def evaluate(self, predict: Predict, split: str) -> tuple[artifact.Metric, ...]:
        """Measures the main endpoint, in training or exported, on a split: "dev" or "test"."""

    def predictions(self, predict: Predict, split: str) -> dict[str, Predictions]:
        """Returns the predictions for a split by kind of label; {} where there are no labels."""
        return {}

    def scores(self, predict: Predict, split: str) -> tuple[Array, Array]:
        """Returns sums and sizes by sentence or text, shape [N], whose ratio is the first metric of `evaluate`."""
        predictions = next(iter(self.predictions(predict, split).values()))
        return by_group(predictions.groups, predictions.right)

    def samples(self, predict: Predict) -> dict[str, str]:
        """Returns sample outputs by prompt; none by default."""
        return {}


class ServedTask(Task):
    """A task whose model the service runs, as the export needs it.

    A subclass builds its vocabularies from the train split, or from its teacher's distillation set if it has one.

    Attributes:
        kind: the task as a manifest names it.
        vocabularies, tokenizer, lengths, length_buckets: as in artifact.Manifest.
        lemmatizer: of a tagger, finds lemmas by the rules that it gives; None by default.
        segmenter: the learned part of the tokenizer; None by default.
        reference_split: the split that texts are compared with while the model serves; dev by default.
    """

    kind: ClassVar[artifact.TaskName]

    vocabularies: dict[str, Vocabulary]
    tokenizer: str | None
    lengths: dict[int, int]
    length_buckets: tuple[int, ...]
    lemmatizer: LearnedLemmatizer | None = None
    segmenter: Segmenter | None = None
    reference_split: str = "dev"

    def served(self, model: keras.Model) -> keras.Model:
        """Returns a trained model as it is exported; by default as it is."""
        return model

    @abstractmethod
    def served_endpoints(self, model: keras.Model) -> dict[str, EndpointFunction]:
        """Returns the endpoints that the service runs, steps of the main one, by name; {} for other networks."""

    @abstractmethod
    def encoded(self, split: str) -> dict[str, Array]:
        """Returns the ids of everything in a split, by vocabulary: int32, shape [N]; PAD counts as nothing."""

    @abstractmethod
    def goldens(self) -> list[Example]:
        """Returns a few short, varied examples of dev, which are exported with their outputs."""

    def evaluate_text(self, predict: Predict, split: str) -> tuple[artifact.Metric, ...]:
        """Measures the endpoint from raw text; no metrics by default."""
        return ()

    def settle(self, model: keras.Model) -> None:
        """Changes the weights of the best epoch before they are quantized, in place. Does nothing by default."""
        return

    def compact(self, model: keras.Model) -> None:
        """Quantizes the largest tables of a trained model to 8 bits, in place. Does nothing by default."""
        return

    def calibrate(self, model: keras.Model, predict: Predict) -> None:
        """Scales the logits of a trained model so that probabilities match accuracy on dev. Does nothing by default."""
        return

    def learn_segmenter(self) -> None:
        """Learns `segmenter` from train and dev, in seconds to a minute. Does nothing by default."""
        return
