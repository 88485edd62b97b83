"""Sentiment of texts: negative, neutral or positive, learned from the Stanford Sentiment Treebank or labelled texts.

Several corpora may be learned from at once, each with its own shares of labels: of the pros and cons of products none
is neutral, of comments a third. While a text is learned from, its logits are shifted by the logarithms of its corpus's
shares, so that the network learns what the words say beyond them (Menon et al. 2021, Long-Tail Learning via Logit
Adjustment). Without the shift, as it is served, all labels are equally frequent.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from typing import TypeAlias

import keras
import numpy as np
from keras import ops

from service.artifact.manifest import DataSource, Metric
from service.text.tokenizer import Tokenizer
from service.text.vocabulary import Vocabulary
from training.cells import Tensor
from training.data import corpora, labelled_texts, sst
from training.data.dataset import IGNORED, Array, Batches, Example, Examples, collate
from training.data.distillation import DistillationSet
from training.data.splits import sample, without_overlap
from training.metrics.scores import (
    MACRO_F1,
    MACRO_RECALL,
    POLARITY,
    SST2,
    SST5,
    macro_f1,
    right_side,
    sentiment_accuracy,
)
from training.tasks import sentiment_elsewhere
from training.tasks.base import Predict, State
from training.tasks.classification import Classification, ClassificationRecipe, TokenizedText
from training.tasks.corpus_tables import corpus_tables
from training.tasks.endpoints import Tensors
from training.tasks.losses import grade_cross_entropy, polarity_cross_entropy
from training.tasks.windows import label_probabilities

SAMPLES = ("the food was good , not bad at all .", "the food was bad , not good at all .")  # the same words
LABELS = ("negative", "neutral", "positive")
GRADES = ("very negative", "negative", "neutral", "positive", "very positive")
LABEL_OF_GRADE = {LABELS: (0, 0, 1, 2, 2), GRADES: (0, 1, 2, 3, 4)}
MEAN_F1 = f"{MACRO_F1}, mean of all corpora"
CHOSEN_BY = {"imdb": POLARITY, "tweets": MACRO_RECALL}  # and SST-2 or SST-5 on the treebank
EMBEDDING_SCALE = 0.1
DISTILLATION_WEIGHT = 4.0  # of the teacher's probabilities in the loss, where a label counts 1
NO_SHARES = np.zeros(sst.GRADES, np.float32)
Trees: TypeAlias = Sequence[Sequence[sst.Phrase]]
Splits: TypeAlias = dict[str, list[list[sst.Phrase]]]


@dataclass(frozen=True, kw_only=True)
class SentimentRecipe(ClassificationRecipe):
    """Settings of a sentiment classifier.

    Attributes:
        corpus: of training.data.corpora, with train, dev and test as trees, or with tables of labelled texts.
        labels: LABELS, or the GRADES of the treebank.
        further: corpora of training.data.labelled_texts that it learns from as well, in three labels, with the weight
            of each in the loss, where `corpus` has 1.
        statements: parts of corpora, such as "kjv_sicp/sicp", and how many of their sentences are taken as neutral.
        shift: the factor of the logarithms of a corpus's shares of labels, by which logits are shifted in training.
        distillation_tokens: tokens of the distillation set per epoch, in addition to the train split.
    """

    labels: tuple[str, ...] = LABELS
    further: Mapping[str, float] = field(default_factory=dict)
    statements: Mapping[str, int] = field(default_factory=dict)
    shift: float = 0.0
    distillation_tokens: int = 0

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Sentiment":
        splits, data, further = self.splits()
        return Sentiment(self, splits, data, vocabularies, further)

    def splits(self) -> tuple[Splits, tuple[DataSource, ...], dict[str, Splits]]:
        """Returns the splits of its corpus, where all is from, and the splits of its other corpora."""
        tokenizer = Tokenizer()
        splits = self.read(self.corpus, tokenizer)
        further = {name: self.read(name, tokenizer) for name in (*self.further, *self.statements)}
        return splits, tuple(chain.from_iterable(map(corpora.sources, (self.corpus, *further)))), further

    def read(self, corpus: str, tokenizer: Tokenizer) -> Splits:
        """Returns the splits of one of its corpora, the phrases of each tree. Raises CorpusError if it is not here."""
        if corpus in self.statements:
            return labelled_texts.statements(corpus, tokenizer, self.statements[corpus])
        if corpus != "sst":
            return labelled_texts.splits(corpus, tokenizer, self.longest if corpus == self.corpus else 0)

        @cache
        def tokenize(word: str) -> tuple[str, ...]:
            return tuple(token.text for token in tokenizer.tokens(word))

        return {split: list(sst.read(corpora.read(corpus, split), tokenize)) for split in ("train", "dev", "test")}


class Sentiment(Classification):
    """Classification of texts by sentiment.

    The classes are the five grades of the treebank, which carry more information than three labels.

    Args:
        splits: the phrases of each tree of train, dev and test, the whole sentence last.
        further: the splits of the recipe's other corpora, by name, whose trees have one phrase each.

    Attributes:
        train_trees: the sentences of the train split, with their phrases.
        tables: what the labels of each corpus say, by its number: 0 the first, then the others.
    """

    recipe: SentimentRecipe

    def __init__(
        self,
        recipe: SentimentRecipe,
        splits: Splits,
        data: tuple[DataSource, ...],
        vocabularies: Mapping[str, Vocabulary] | None = None,
        further: Mapping[str, Mapping[str, Trees]] | None = None,
    ) -> None:
        self.chosen_by = MEAN_F1 if further else CHOSEN_BY.get(recipe.corpus, SST2 if recipe.labels == LABELS else SST5)
        self.polarity = SST2 if recipe.corpus not in CHOSEN_BY else POLARITY
        # The treebank is sorted: the first half of its sentences is praise. All seeds have the same sample.
        splits = splits | {"train": sample(splits["train"], recipe.limit, seed=0)}
        self.train_trees = splits["train"]
        sentences = {split: [tree[-1] for tree in trees] for split, trees in splits.items()}
        self._sentence_lengths = Counter(len(sentence.tokens) for sentence in sentences["train"])
        others = {
            name: _texts(found, number, recipe.longest)
            for number, (name, found) in enumerate((further or {}).items(), start=1)
        }
        learned = [text for found in others.values() for text in found["train"]]
        self._sentence_lengths += Counter(len(text.tokens) for text in learned)
        read = [text.tokens for found in (sentences["train"], learned) for text in found]
        counts = Counter(token.lower() for tokens in read for token in tokens)
        self._distillation = DistillationSet.read(recipe.teacher) if recipe.teacher and not vocabularies else None
        if self._distillation:
            data = tuple(dict.fromkeys((*data, *self._distillation.sources)))
            counts = Counter(dict(zip(self._distillation.words, self._distillation.counts.tolist(), strict=True)))
        phrases = sst.distinct(phrase for tree in splits["train"] for phrase in tree)
        super().__init__(
            recipe,
            {
                split: [TokenizedText(p.tokens, p.grade) for p in found]
                for split, found in (sentences | {"train": phrases}).items()
            },
            {"sentiment": recipe.labels},
            counts,
            data,
            label_of_class=np.eye(len(recipe.labels), dtype=np.float32)[list(LABEL_OF_GRADE[recipe.labels])],
            vocabularies=vocabularies,
        )
        self._splits["train"] += map(self._example, learned)
        self._others = {
            split: {name: list(map(self._example, found[split])) for name, found in others.items() if found[split]}
            for split in ("dev", "test")
        }
        if self._others["dev"]:
            self.reference_split = "dev of all corpora"
            self._splits[self.reference_split] = [*self._splits["dev"], *chain(*self._others["dev"].values())]
        self.tables = corpus_tables(
            [[tree.grade for tree in sentences["train"]], *([t.class_id for t in o["train"]] for o in others.values())],
            [1, *(recipe.further.get(name, 1) for name in others)],
            recipe.shift,
        )

    def _lengths(self, texts: object) -> dict[int, int]:
        """Counts whole sentences by their length: phrases are not what is served."""
        return dict(self._sentence_lengths)

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
        """Returns the cross-entropy of the grade; for a grade that is not neutral, adds positive against negative.

        With a distillation set, the cross-entropy of the teacher's probabilities is added. The members share no loss.
        """
        logits = model(**inputs, training=True)  # [M, B, 5]
        corpus, grades = targets["corpus"], ops.maximum(targets["class_id"], 0)  # [B]
        shifted = logits + ops.take(self.tables.shifts, corpus, axis=0)
        rows = ops.reshape(self.tables.allowed, (-1, sst.GRADES))
        allowed = ops.take(rows, sst.GRADES * corpus + grades, axis=0)  # [B, 5]
        losses = grade_cross_entropy(allowed, shifted) + polarity_cross_entropy(grades, shifted)
        losses *= ops.take(self.tables.weights, corpus) * ops.take(self._class_weights, grades)
        if "shares" in targets:  # 0 for labelled examples
            losses -= DISTILLATION_WEIGHT * ops.sum(targets["shares"] * ops.log_softmax(logits), axis=-1)
        return ops.mean(losses), state

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        """Measures whole sentences of the first corpus, then the macro F1 of all corpora that have such a split."""
        return self.figures(self.probabilities(predict, split), split)

    def probabilities(self, predict: Predict, split: str) -> dict[str, Array]:
        """Returns those of the labels of each corpus's examples, shape [N, K]."""
        found = {self.recipe.corpus: self.predictions(predict, split)["sentiment"].probabilities}
        for name, examples in self._others[split].items():
            found[name] = label_probabilities(predict, examples, self.length_buckets[-1])
        return found

    def measured(self, split: str) -> dict[str, list[Example]]:
        """Returns the examples of each corpus that `evaluate` measures."""
        return {self.recipe.corpus: self._splits[split]} | self._others[split]

    def gold(self, split: str) -> dict[str, Array]:
        """Returns the number of the label of each corpus's examples, shape [N]."""
        labels = self.label_of_class.argmax(-1)
        return {name: labels[[int(e.targets["class_id"]) for e in es]] for name, es in self.measured(split).items()}

    def figures(self, probabilities: Mapping[str, Array], split: str) -> tuple[Metric, ...]:
        """Returns what `evaluate` does. probabilities: of the labels of each corpus's examples, shape [N, K]."""
        gold = self.gold(split)
        first = self.recipe.corpus
        found = sentiment_accuracy(probabilities[first], gold[first], split, self.polarity)
        if len(gold) == 1:
            return found
        scores = {f"{MACRO_F1}, {name}": macro_f1(probabilities[name].argmax(-1), gold[name]) for name in gold}
        scores[MEAN_F1] = round(float(np.mean(list(scores.values()))), 2)
        return (*found, *(Metric(name=name, value=value, unit="%", split=split) for name, value in scores.items()))

    def evaluate_text(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        """Measures texts of further kinds, which nothing is learned from, if several corpora are."""

        def classify(texts: Sequence[tuple[str, ...]]) -> Array:
            found = [self._example(TokenizedText(tokens, sst.NEUTRAL)) for tokens in texts]
            return label_probabilities(predict, found, self.length_buckets[-1])

        return sentiment_elsewhere.measure(classify, split) if self.recipe.further else ()

    def scores(self, predict: Predict, split: str) -> tuple[Array, Array]:
        predictions = self.predictions(predict, split)["sentiment"]
        right, polar = right_side(predictions.probabilities, predictions.gold)
        return 100 * (right & polar), polar.astype(int)

    def samples(self, predict: Predict) -> dict[str, str]:
        """Returns how positive two texts of the same words are, in percent."""
        batch = collate([self._example(TokenizedText(tuple(text.split()), sst.NEUTRAL)) for text in SAMPLES])
        probabilities, middle = predict(batch.inputs)["probabilities"], len(self.recipe.labels) // 2
        positive, negative = (probabilities[:, part].sum(-1) for part in (slice(middle + 1, None), slice(middle)))
        shares = 100 * positive / (positive + negative)
        return {text: f"{share:.1f} % positive" for text, share in zip(SAMPLES, shares, strict=True)}

    def _distilled_example(self, i: int) -> Example:
        assert self._distillation  # noqa: S101 (otherwise there are no distilled examples)
        logits = self._distillation.outputs["logits"][i]
        shares = np.exp(logits - logits.max())
        example = self._example(TokenizedText(self._distillation.sentences[i], IGNORED, self.tables.unlabelled))
        return replace(example, targets=example.targets | {"shares": (shares / shares.sum()).astype(np.float32)})


def _texts(splits: Mapping[str, Trees], corpus: int, longest: int) -> dict[str, list[TokenizedText]]:
    """Returns the texts of each split. Leaves texts of dev and test out of train, and cuts long texts of train."""
    found = {
        split: [TokenizedText(tree[-1].tokens, tree[-1].grade, corpus) for tree in trees]
        for split, trees in splits.items()
    }
    kept, _ = without_overlap(found, lambda text: tuple(map(str.lower, text.tokens)))
    cut = [text._replace(tokens=labelled_texts.shortened(text.tokens, longest)) for text in kept["train"]]
    return kept | {"train": cut}
