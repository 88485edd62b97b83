"""What the loop, the evaluation and the export need to know of a task."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import keras
import numpy as np

from service import artifact
from service.text.lemmas import LemmaDictionary
from service.text.vocabulary import Vocabulary
from training.answers import Answers
from training.cells import Tensor
from training.config import Recipe
from training.dataset import Array, Batch, Batches, Example

Tensors: TypeAlias = dict[str, Tensor]
Predict: TypeAlias = Callable[[Mapping[str, Array]], dict[str, Array]]  # an endpoint, NumPy in and out
State: TypeAlias = Any  # what a batch hands to the next: () or nested tuples of tensors


@dataclass(frozen=True)
class Part:
    """An endpoint that computes a step of the main one."""

    endpoint: artifact.Endpoint
    compute: Callable[..., Tensors]  # its inputs by name -> its outputs by name


def parts_at_the_projection(
    task: "Task",
    project: Callable[..., Tensor],
    run: Callable[..., Tensors],
    words: dict[str, artifact.TensorSpec],
    rows: tuple[str | int, int],
    also: tuple[str, ...],
) -> dict[str, Part]:
    """Returns the main endpoint in two parts: the input product of each word, and what is done from there.

    A word's product is the same wherever the word stands, so that a service need not take it for every position.

    Args:
        project: `words` -> the products, of the shape `rows`: a row for each word, or for each of a whole vocabulary.
        run: projected  # [B, T, G], and `also` of the main endpoint's inputs -> its outputs.
    """
    name, endpoint = task.endpoint_name, task.endpoint
    projected = artifact.TensorSpec(dtype="float32", axes=("B", "T", rows[1]))
    products = {"projected": artifact.TensorSpec(dtype="float32", axes=rows)}
    inputs = {"projected": projected} | {key: endpoint.inputs[key] for key in also}
    return {
        "project": Part(
            artifact.Endpoint(inputs=words, outputs=products), lambda **given: {"projected": project(**given)}
        ),
        f"{name}_projected": Part(artifact.Endpoint(inputs=inputs, outputs=endpoint.outputs), run),
    }


class Task(ABC):
    """A task on its corpora: data, network, loss, prediction, score.

    A subclass reads its corpora in its constructor and builds its vocabularies from the train split, and from
    the lesson of its teacher if it has one.

    Attributes:
        kind: the task as a manifest names it.
        endpoint_name, endpoint: the signature that is exported; `predict` computes it.
        chosen_by: the metric on dev by which the best epoch is chosen.
        lower_is_better: of that metric.
        data, vocabularies, labels, tokenizer, lengths, length_buckets: as in artifact.Manifest.
        dictionary: that is asked before the network; None by default.
    """

    kind: ClassVar[artifact.Task]
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

    @abstractmethod
    def network(self) -> keras.Model:
        """Returns a fresh network, its weights made."""

    @abstractmethod
    def train_batches(self, rng: np.random.Generator) -> Batches:
        """Returns the batches of one epoch, to be gone through once, in order."""

    def weight(self, batch: Batch) -> float:
        """Returns how much there is in a batch that its loss is the mean of; words by default."""
        return batch.tokens

    def initial_state(self) -> State:
        """Returns the state that an epoch starts from; () where batches are independent."""
        return ()

    @abstractmethod
    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        """Returns the mean loss over the valid positions of a batch, and the state for the next."""

    @abstractmethod
    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        """Computes the endpoint: the inputs and outputs that `endpoint` names."""

    def parts(self, model: keras.Model) -> dict[str, Part]:
        """Returns further endpoints, by name: steps of the main one that can be run apart; none by default."""
        return {}

    @abstractmethod
    def evaluate(self, predict: Predict, split: str) -> tuple[artifact.Metric, ...]:
        """Measures an endpoint, in training or exported, on a split: "dev" or "test"."""

    def samples(self, predict: Predict) -> dict[str, str]:
        """Returns what the model says after a few prompts; nothing where it does not say anything."""
        return {}

    def answers(self, predict: Predict, split: str) -> dict[str, Answers]:
        """Returns what an endpoint answers for each item of a split, by the kind of label; {} without labels."""
        return {}

    def evaluate_text(self, predict: Predict, split: str) -> tuple[artifact.Metric, ...]:
        """Measures an endpoint from raw text, and with what other models say of it; nothing by default."""
        return ()

    def compact(self, model: keras.Model) -> None:
        """Rounds the largest tables of a trained model to 8 bits: a quarter of the bytes. Does nothing by default."""
        return

    def calibrate(self, model: keras.Model, predict: Predict) -> None:
        """Makes a trained model as sure as it is right on dev; its answers stay. Does nothing by default."""
        return

    @abstractmethod
    def goldens(self) -> list[Example]:
        """Returns a few short and varied examples, of dev, to be exported with the outputs that they give."""

    def better(self, value: float, best: float | None) -> bool:
        """Tells whether a value of the choosing metric beats the best so far."""
        return best is None or (value < best if self.lower_is_better else value > best)
