"""The settings of a run, and recipes that are derived from others."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from service.artifact import manifest as artifact

AnySettings = TypeVar("AnySettings", bound="Settings")


@dataclass(frozen=True, kw_only=True)
class TeacherSettings:
    """The settings of the teachers that `tagwerk-train teach` fine-tunes for a recipe.

    Attributes:
        encoder: the pretrained transformer: a name of training.teachers.pretrained, or a folder in the format of
            Transformers.
        count: number of teachers. The first has the recipe's seed, each further one the next seed. A student learns the
            mean of their probabilities, which is right more often than each teacher alone (Hansen and Salamon 1990).
        epochs: passes over the train split.
        batch_pieces: word pieces of a batch, including padding.
        encoder_rate: the highest learning rate of the pretrained weights.
        head_rate: the highest learning rate of all other weights.
        unlabelled_tokens: tokens of unlabelled text that the teachers label.
        text: what is labelled and nothing else: a corpus of another language than English, with a part that is named
            like the language; or the words of a part of a treebank, "sequoia/train".
        further_text: corpora whose whole text is used. Reviews and a textbook fill up the rest of the tokens.
        together: corpora of taggers on which one transformer is tuned, with heads for each; by default that of the
            recipe alone. Recipes with the same corpora and settings share it.
        recombined_tokens: tokens of sentences that are made of phrases of the train split, which the teachers of a
            classifier label as well (training.data.recombination).
    """

    encoder: str = "all-mpnet-base-v2"
    count: int = 1
    epochs: int = 3
    batch_pieces: int = 700
    encoder_rate: float = 5e-5
    head_rate: float = 1e-3
    unlabelled_tokens: int = 2_400_000
    text: str | None = None
    further_text: tuple[str, ...] = ("masc",)
    together: tuple[str, ...] = ()
    recombined_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings that every run has; the recipe of a kind of task adds its own.

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
        limit: number of examples of the train split that are used, or characters of a text; all by default. Of a corpus
            that is sorted by label it is a random sample, otherwise the first examples.
        learning_rate: the highest learning rate, of Adam.
        warmup: the share of the run over which the learning rate rises from 0.
        schedule: how it falls after that, a name of training.run.schedules.
        patience: epochs without improvement after which the run stops early; 0 is never.
        weight_decay: of Adam, times the learning rate, decoupled from the gradient (Loshchilov and Hutter 2019).
        clip_norm: global norm that gradients are clipped to.
        averaging: decay per step of the moving average of the weights, which is exported; 0 is none.
        served_precision: of the products of states in the exported model: "int8", see training.cells.integers, which
            takes less time and is the same in any batch, or "float32".
        precision: a dtype policy of Keras. "mixed_bfloat16" stores weights in 32 bits and computes in 16, which is
            for GPUs: a CPU may emulate it.
        teacher: the recipe whose distillation set, written by `tagwerk-train teach`, is learned from as well.
        teaching: how `tagwerk-train teach` makes the distillation set of this recipe; None for one that makes none.
        shipped: whether training exports the model; otherwise it is only measured on the test split.
        sizes: of the network, which their method `network` builds.
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
    served_precision: artifact.Precision = "int8"
    teacher: str | None = None
    teaching: TeacherSettings | None = None
    shipped: bool = True
    sizes: Any


def derive(
    base: AnySettings, name: str, *, network: Any = None, sizes: Mapping[str, Any] | None = None, **changes: Any
) -> AnySettings:
    """Returns a copy of a recipe with another name and with some settings changed.

    Args:
        network: the sizes of another network.
        sizes: changes to the sizes of the same network.
    """
    return replace(base, name=name, sizes=replace(network or base.sizes, **(sizes or {})), **changes)
