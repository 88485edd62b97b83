"""Masking: what padding costs where the loss counts it, on 2000 sentences of the English Web Treebank."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from service.text.vocabulary import Vocabulary
from training.cells import Tensor
from training.course.ladders import Ladder, Rung
from training.course.models.word_tagger import WordTaggerSizes
from training.data.dataset import IGNORED, Batches, Example, collate, cut_batches
from training.tasks.base import State
from training.tasks.endpoints import Tensors
from training.tasks.tagging import Tagging, TaggingRecipe


@dataclass(frozen=True, kw_only=True)
class UnsortedRecipe(TaggingRecipe):
    """Settings of a tagger whose batches are drawn at random, so that half of a batch is padding.

    Attributes:
        masked: whether padding is left out of the loss; otherwise its label is 0, the most frequent one.
    """

    masked: bool = True

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Unsorted":
        return Unsorted(self, *self.splits(), vocabularies)


class Unsorted(Tagging):
    """Tagging with batches of sentences of any length."""

    recipe: UnsortedRecipe

    def train_batches(self, rng: np.random.Generator) -> Batches:
        examples: list[Example] = self.examples("train")
        rows = cut_batches(rng.permutation(len(examples)), [len(e) for e in examples], self.recipe.batch_tokens)
        return Batches(rows, lambda batch: collate([examples[i] for i in batch]))

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        if not self.recipe.masked:
            targets = {head: ops.where(ids == IGNORED, 0, ids) for head, ids in targets.items()}
        return super().loss(model, inputs, targets, state)


masked = Rung(
    "masked",
    "Batches of sentences of any length, a loss without padding",
    UnsortedRecipe(
        name="masking-masked",
        description="A rung of the ladder of masking",
        language="en",
        licence="CC BY-SA 4.0",
        limits="Made to be compared with the rungs beside it.",
        corpus="ewt",
        tokenizer="spacy-en",
        word_dropout=0.0,
        epochs=30,
        batch_tokens=1600,
        learning_rate=2e-3,
        schedule="plateau",
        patience=3,
        limit=2000,
        shipped=False,
        sizes=WordTaggerSizes(cell="lstm", directions=2),
    ),
)
unmasked = masked.then("unmasked", "Padding counts in the loss, as words with the most frequent labels", masked=False)

LADDER = Ladder((masked, unmasked))
