"""Sentiment of texts: negative, neutral or positive, learned from the Stanford Sentiment Treebank or labelled texts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import keras
import numpy as np
from keras import ops

from service.artifact.manifest import DataSource, Metric
from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.vocabulary import Vocabulary
from training.cells import Tensor
from training.data import corpora, labelled_texts, sst
from training.data.dataset import IGNORED, Array, Batches, Example, Examples, collate
from training.data.distillation import DistillationSet
from training.data.splits import sample
from training.metrics.scores import MACRO_RECALL, POLARITY, SST2, SST5, right_side, sentiment_accuracy
from training.tasks.base import Predict, State, Tensors
from training.tasks.classification import Classification, ClassificationRecipe, Text
from training.tasks.losses import polarity_cross_entropy

SAMPLES = ("the food was good , not bad at all .", "the food was bad , not good at all .")  # the same words
LABELS = ("negative", "neutral", "positive")
GRADES = ("very negative", "negative", "neutral", "positive", "very positive")
LABEL_OF_GRADE = {LABELS: (0, 0, 1, 2, 2), GRADES: (0, 1, 2, 3, 4)}
CHOSEN_BY = {"imdb": POLARITY, "tweets": MACRO_RECALL}  # and SST-2 or SST-5 on the treebank
EMBEDDING_SCALE = 0.1
DISTILLATION_WEIGHT = 2.0  # of the teacher's probabilities in the loss, where a label counts 1
NO_SHARES = np.zeros(sst.GRADES, np.float32)


@dataclass(frozen=True, kw_only=True)
class SentimentRecipe(ClassificationRecipe):
    """Settings of a sentiment classifier.

    Attributes:
        corpus: of training.data.corpora, with train, dev and test as trees, or with tables of labelled texts.
        labels: LABELS, or the GRADES of the treebank.
        distillation_tokens: tokens of the distillation set per epoch, in addition to the train split.
    """

    labels: tuple[str, ...] = LABELS
    distillation_tokens: int = 0

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Sentiment":
        tokenizer = SpacyTokenizer()

        @cache
        def tokenize(word: str) -> tuple[str, ...]:
            return tuple(token.text for token in tokenizer.tokens(word))

        if self.corpus == "sst":
            splits = {s: list(sst.read(corpora.read(self.corpus, s), tokenize)) for s in ("train", "dev", "test")}
        else:
            splits = labelled_texts.splits(self.corpus, tokenizer, self.longest)
        return Sentiment(self, splits, corpora.sources(self.corpus), vocabularies)


class Sentiment(Classification):
    """Classification of texts by sentiment.

    The classes are the five grades of the treebank, which carry more information than three labels.

    Args:
        splits: the phrases of each tree of train, dev and test, the whole sentence last.

    Attributes:
        train_trees: those of the train split.
    """

    recipe: SentimentRecipe

    def __init__(
        self,
        recipe: SentimentRecipe,
        splits: dict[str, list[list[sst.Phrase]]],
        data: tuple[DataSource, ...],
        vocabularies: Mapping[str, Vocabulary] | None = None,
    ) -> None:
        self.chosen_by = CHOSEN_BY.get(recipe.corpus, SST2 if recipe.labels == LABELS else SST5)
        self.polarity = SST2 if recipe.corpus not in CHOSEN_BY else POLARITY
        # The treebank is sorted: the first half of its sentences is praise. All seeds have the same sample.
        splits = splits | {"train": sample(splits["train"], recipe.limit, seed=0)}
        self.train_trees = splits["train"]
        sentences = {split: [tree[-1] for tree in trees] for split, trees in splits.items()}
        self._sentence_lengths = dict(Counter(len(sentence.tokens) for sentence in sentences["train"]))
        counts = Counter(token.lower() for sentence in sentences["train"] for token in sentence.tokens)
        self._distillation = DistillationSet.read(recipe.teacher) if recipe.teacher and not vocabularies else None
        if self._distillation:
            data += self._distillation.sources
            counts = Counter(dict(zip(self._distillation.words, self._distillation.counts.tolist(), strict=True)))
        phrases = sst.distinct(phrase for tree in splits["train"] for phrase in tree)
        super().__init__(
            recipe,
            {
                split: [Text(p.tokens, p.grade) for p in found]
                for split, found in (sentences | {"train": phrases}).items()
            },
            {"sentiment": recipe.labels},
            counts,
            data,
            label_of_class=np.eye(len(recipe.labels), dtype=np.float32)[list(LABEL_OF_GRADE[recipe.labels])],
            vocabularies=vocabularies,
        )

    def _lengths(self, texts: object) -> dict[int, int]:
        """Counts whole sentences by their length: phrases are not what is served."""
        return self._sentence_lengths

    def network(self) -> keras.Model:
        model = super().network()
        if self._distillation:
            table = model.reader.embedding.embeddings
            words = self.vocabularies["words"]
            table.assign(self._distillation.embeddings(words, table.shape[1], EMBEDDING_SCALE))
        return model

    def side(self, example: Example) -> int:
        """Returns 1 for a positive text, 0 for a negative one, -1 for a neutral one."""
        side = int(example.targets["class_id"]) - sst.NEUTRAL
        return int(side > 0) if side else -1

    def train_batches(self, rng: np.random.Generator) -> Batches:
        if not self._distillation:
            return super().train_batches(rng)
        labelled = [replace(e, targets=e.targets | {"shares": NO_SHARES}) for e in self._splits["train"]]
        distilled = Examples(self._distillation.lengths, self._distilled_example)
        return self._batches(Examples.of(labelled) + distilled.sample(self.recipe.distillation_tokens, rng), rng)

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        """Returns the cross-entropy of the grade plus, where it is not neutral, that of positive against negative.

        With a distillation set, the cross-entropy of the teacher's probabilities is added. The members share no loss.
        """
        logits = model(**inputs, training=True)  # [M, B, 5]
        grades = ops.broadcast_to(targets["class_id"], ops.shape(logits)[:2])
        known = ops.maximum(grades, 0)
        losses = ops.sparse_categorical_crossentropy(known, logits, from_logits=True) + polarity_cross_entropy(
            known, logits
        )
        losses *= ops.take(self._class_weights, known)
        if "shares" not in targets:
            return ops.mean(losses), state
        labelled = ops.cast(grades != IGNORED, "float32")
        distilled = -ops.sum(targets["shares"] * ops.log_softmax(logits), axis=-1)  # 0 for labelled examples
        return ops.mean(labelled * losses + DISTILLATION_WEIGHT * distilled), state

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        """Measures whole sentences."""
        predictions = self.predictions(predict, split)["sentiment"]
        return sentiment_accuracy(predictions.probabilities, predictions.gold, split, self.polarity)

    def scores(self, predict: Predict, split: str) -> tuple[Array, Array]:
        predictions = self.predictions(predict, split)["sentiment"]
        right, polar = right_side(predictions.probabilities, predictions.gold)
        return 100 * (right & polar), polar.astype(int)

    def samples(self, predict: Predict) -> dict[str, str]:
        """Returns how positive two texts of the same words are, in percent."""
        batch = collate([self._example(Text(tuple(text.split()), sst.NEUTRAL)) for text in SAMPLES])
        probabilities, middle = predict(batch.inputs)["probabilities"], len(self.recipe.labels) // 2
        positive, negative = (probabilities[:, part].sum(-1) for part in (slice(middle + 1, None), slice(middle)))
        shares = 100 * positive / (positive + negative)
        return {text: f"{share:.1f} % positive" for text, share in zip(SAMPLES, shares, strict=True)}

    def _distilled_example(self, i: int) -> Example:
        assert self._distillation  # noqa: S101 (otherwise there are no distilled examples)
        logits = self._distillation.outputs["logits"][i]
        shares = np.exp(logits - logits.max())
        example = self._example(Text(self._distillation.sentences[i], IGNORED))
        return replace(example, targets=example.targets | {"shares": (shares / shares.sum()).astype(np.float32)})
