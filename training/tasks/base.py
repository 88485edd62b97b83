"""The settings of a run, and the interface of a task to the training loop, the evaluation and the export."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

import keras
import numpy as np

from service.artifact import manifest as artifact
from service.errors import ConfigurationError
from service.text.lemmas import LemmaDictionary
from service.text.segmenter import Segmenter
from service.text.vocabulary import PAD, Vocabulary
from training.cells import Tensor
from training.data.dataset import Array, Batch, Batches, Example
from training.metrics.predictions import Predictions, by_group

Tensors: TypeAlias = dict[str, Tensor]
Predict: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]  # an endpoint on NumPy arrays
State: TypeAlias = Any  # carried from batch to batch: () or nested tuples of tensors
AnyRecipe = TypeVar("AnyRecipe", bound="Recipe")


@dataclass(frozen=True, kw_only=True)
class TeacherSettings:
    """The settings of the teachers that `tagwerk-train teach` fine-tunes for a recipe.

    Attributes:
        encoder: the pretrained transformer: a name of training.teachers.pretrained, or a folder in the format of
            Transformers.
        count: of the teachers, whose seeds are the recipe's and the next ones. A student learns the mean of their
            probabilities, which is right more often than each of them alone (Hansen and Salamon 1990).
        epochs: passes over the train split.
        batch_pieces: word pieces of a batch, including padding.
        encoder_rate: the highest learning rate of the pretrained weights.
        head_rate: the highest learning rate of all other weights.
        unlabelled_tokens: tokens of unlabelled text that the teachers label.
    """

    encoder: str = "all-mpnet-base-v2"
    count: int = 1
    epochs: int = 3
    batch_pieces: int = 700
    encoder_rate: float = 5e-5
    head_rate: float = 1e-3
    unlabelled_tokens: int = 2_400_000


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """The settings that every run has; each kind of task adds its own and implements `task`.

    Attributes:
        name: of the recipe and of the model that it makes.
        description: what the model does, in one line.
        language: BCP 47.
        licence: of the model.
        limits: what the model cannot do, for the model card.
        seed: of the weights, the order of the examples, and dropout.
        threads: of TensorFlow's operations. One is nearly as fast as two at these sizes, and is deterministic.
        epochs: passes over the train split.
        batch_tokens: positions of a batch, including padding.
        limit: how many examples of the train split are used, all by default; of a text, characters.
        learning_rate: the highest learning rate, of Adam.
        warmup: the share of the run over which the learning rate rises from 0.
        schedule: how it falls after that, a name of training.run.schedules.
        patience: epochs without improvement after which the run stops early; 0 is never.
        weight_decay: of Adam, times the learning rate, decoupled from the gradient (Loshchilov and Hutter 2019).
        clip_norm: global norm that gradients are clipped to.
        averaging: decay per step of the moving average of the weights, which is exported; 0 is none.
        precision: a dtype policy of Keras. "mixed_bfloat16" stores weights in 32 bits and computes in 16, which is
            for GPUs: a CPU may emulate it.
        teacher: the recipe whose distillation set, written by `tagwerk-train teach`, is learned from as well.
        teaching: how `tagwerk-train teach` makes the distillation set of this recipe; None for one that makes none.
        shipped: whether training exports the model; otherwise it is only measured on the test split.
        sizes: of the network; their type selects the network.
    """

    name: str
    description: str
    language: str
    licence: str
    limits: str
    seed: int = 1
    threads: int = 1
    epochs: int
    batch_tokens: int
    limit: int | None = None
    learning_rate: float
    warmup: float = 0.02
    schedule: str = "cosine"
    patience: int = 0
    weight_decay: float = 0.0
    clip_norm: float = 5.0
    averaging: float = 0.0
    precision: str = "float32"
    teacher: str | None = None
    teaching: TeacherSettings | None = None
    shipped: bool = True
    sizes: Any

    @abstractmethod
    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Task":
        """Loads the corpora and returns the task, ready to train.

        Args:
            vocabularies: by name, of a model that is to be measured; by default built from the train split.
        """


def derive(
    base: AnyRecipe, name: str, *, network: Any = None, sizes: Mapping[str, Any] | None = None, **changes: Any
) -> AnyRecipe:
    """Returns a copy of a recipe with another name and with some settings changed.

    Args:
        network: the sizes of another network.
        sizes: changes to the sizes of the same network.
    """
    return replace(base, name=name, sizes=replace(network or base.sizes, **(sizes or {})), **changes)


@dataclass(frozen=True)
class OtherModel:
    """An exported model that a task is measured with.

    Attributes:
        name: "model/version".
    """

    name: str
    task: "Task"
    predict: Predict


LoadModel: TypeAlias = Callable[[str], OtherModel]  # by the model's name, its newest version


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
class Attended:
    """Where a decoder looked while it generated.

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
    project: Callable[..., Tensor], words: dict[str, artifact.TensorSpec], rows: tuple[str | int, int]
) -> Part:
    """Returns the endpoint "project", which computes the input products of words.

    The product of a word is the same at every position, so that a service can cache it.

    Args:
        project: `words` -> the products, of shape `rows`: one row per word, or per entry of a whole vocabulary.
    """
    products = {"projected": artifact.TensorSpec(dtype="float32", axes=rows)}
    return Part(artifact.Endpoint(inputs=words, outputs=products), lambda **given: {"projected": project(**given)})


class Task(ABC):
    """A task on its corpora: examples, network, loss, endpoint, metrics.

    A subclass builds its vocabularies from the train split, or from its teacher's distillation set if it has one.

    Attributes:
        kind: the task as a manifest names it; None for one that is measured and never served.
        endpoint_name, endpoint: the main signature that is exported; `predict` computes it.
        chosen_by: name of the metric on dev that selects the best epoch.
        lower_is_better: whether a lower value of that metric is better.
        data, vocabularies, labels, tokenizer, lengths, length_buckets: as in artifact.Manifest.
        dictionary: lemmas that are looked up before the network runs; None by default.
        segmenter: what the tokenizer has learned; None by default.
        command: that makes the model, for the manifest.
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
    dictionary: LemmaDictionary | None = None
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

    def attend(self, model: keras.Model, text: str) -> Attended:
        """Returns where a decoder looks while it reads a text. Raises ConfigurationError for a task without one."""
        raise ConfigurationError(f"{self.recipe.name} has no decoder with attention")

    def predictions(self, predict: Predict, split: str) -> dict[str, Predictions]:
        """Returns the predictions for a split by kind of label; {} where there are no labels."""
        return {}

    def scores(self, predict: Predict, split: str) -> tuple[Array, Array]:
        """Returns sums and sizes by sentence or text, shape [N], whose ratio is the first metric of `evaluate`."""
        predictions = next(iter(self.predictions(predict, split).values()))
        return by_group(predictions.groups, predictions.right)

    def dev_loss(self, predict: Predict) -> float | None:
        """Returns the cross-entropy of the labels of dev, summed over their kinds, in nats; None without labels."""
        predictions = self.predictions(predict, "dev").values()
        return sum(given.cross_entropy for given in predictions) if predictions else None

    def evaluate_text(self, predict: Predict, split: str, load: LoadModel) -> tuple[artifact.Metric, ...]:
        """Measures the endpoint from raw text and together with other models; no metrics by default."""
        return ()

    def learn_segmenter(self) -> None:
        """Learns `segmenter` from train and dev, in seconds to a minute. Does nothing by default."""
        return

    def compact(self, model: keras.Model) -> None:
        """Quantizes the largest tables of a trained model to 8 bits, in place. Does nothing by default."""
        return

    def calibrate(self, model: keras.Model, predict: Predict) -> None:
        """Scales the logits of a trained model so that probabilities match accuracy on dev. Does nothing by default."""
        return

    def goldens(self) -> list[Example]:
        """Returns a few short, varied examples of dev, which are exported with their outputs; none by default."""
        return []

    def better(self, value: float, best: float | None) -> bool:
        """Tells whether a value of the metric `chosen_by` is better than the best so far."""
        return best is None or (value < best if self.lower_is_better else value > best)
