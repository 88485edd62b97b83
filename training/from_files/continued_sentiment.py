"""A classifier of sentiment that goes on from a version, with the corpora of its recipe as they are now.

It learns their labels, and of the same texts and of plain ones what the version answers, which keeps it from forgetting
what its teachers knew (Li and Hoiem 2016, Learning without Forgetting; Furlanello et al. 2018, Born-Again Neural
Networks).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from keras import ops

from service.artifact.manifest import DataSource
from service.errors import ConfigurationError
from training.data.dataset import IGNORED
from training.data.distillation import DistillationSet
from training.data.labelled_texts import shortened
from training.from_files.base_version import BaseVersion, move_back
from training.from_files.options import Options, changed
from training.metrics.predictions import TINY
from training.run.loop import compiled
from training.tasks.base import predict_all
from training.tasks.classification import TokenizedText
from training.tasks.endpoints import Tensors
from training.tasks.sentiment import Sentiment, SentimentRecipe, Splits
from training.teachers import unlabelled

MOST_UNLABELLED = 3_500_000  # words of plain text
POSITIONS = 4000  # in a batch, including padding
MOVED = 0.5  # of the way from the weights of the version to the best epoch's
SETTINGS: dict[str, Any] = {
    "epochs": 2,
    "batch_tokens": 4800,
    "learning_rate": 9e-4,
    "warmup": 0.05,
    "averaging": 0.999,
    "distillation_tokens": 2_000_000,
}


class ContinuedSentiment(Sentiment):
    """Sentiment with the vocabulary and sizes of a version, from whose weights it starts.

    Args:
        base: the version.
        text: plain sentences, beside those of train, for which it learns the version's answers.
    """

    def __init__(
        self,
        recipe: SentimentRecipe,
        splits: Splits,
        data: tuple[DataSource, ...],
        base: BaseVersion,
        further: dict[str, Splits],
        text: Sequence[tuple[str, ...]],
    ) -> None:
        self._base = base
        super().__init__(recipe, splits, data, base.vocabularies, further)
        learned = dict.fromkeys(tuple(example.source) for example in self._splits["train"])
        self._distillation = self._answers([*(shortened(words, recipe.longest) for words in text), *learned])

    def network(self) -> keras.Model:
        """Returns the version's network, whose word vectors stay: they hold what the teachers read of rarer words."""
        model = self._base.classifier(self)
        model.reader.embedding.trainable = False
        return model

    def settle(self, model: keras.Model) -> None:
        move_back(model, self.network(), MOVED)

    def _answers(self, sentences: Sequence[tuple[str, ...]]) -> DistillationSet:
        """Returns sentences with the logarithms of the probabilities of the grades that the version gives them."""
        model = self.network()

        def compute(inputs: Tensors) -> Tensors:
            of_members = ops.softmax(model(**inputs, training=False))  # [M, B, 5]
            return {"logits": ops.log(ops.maximum(ops.mean(of_members, axis=0), TINY))}

        predict = compiled(self, compute)
        examples = [self._example(TokenizedText(words, IGNORED)) for words in sentences]
        logits = np.zeros((len(examples), len(self.label_of_class)), np.float32)
        for i, outputs in predict_all(predict, examples, POSITIONS):
            logits[i] = outputs["logits"]
        return DistillationSet(
            sentences=sentences,
            lengths=np.array([len(words) for words in sentences]),
            outputs={"logits": logits},
            words=[],
            counts=np.zeros(0, int),
            vectors=np.zeros((0, 0), np.float16),
        )


def on_its_corpora(base: BaseVersion, options: Options) -> ContinuedSentiment:
    """Returns the task of learning from the corpora of the version's recipe, as the recipe reads them now.

    Raises ConfigurationError, CorpusError.
    """
    made = base.made_by()
    if not isinstance(made, SentimentRecipe) or made.teaching is None:
        raise ConfigurationError(f"--from {options.base} without --data; right: --data FILE, with corrections")
    splits, sources, further = made.splits()
    settings = replace(made.teaching, unlabelled_tokens=MOST_UNLABELLED)
    text = unlabelled.of_corpora(settings, options.seed)
    limits = f"{made.limits} Goes on from {base.name}, which has learned from the teachers."
    recipe = changed(replace(made, **SETTINGS, seed=options.seed, limits=limits), options.changes)
    data = tuple(dict.fromkeys((*sources, *text.sources, *base.manifest.data)))
    return ContinuedSentiment(recipe, splits, data, base, further, text.sentences)
