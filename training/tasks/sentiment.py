"""Sentiment of texts: negative, neutral or positive, learned from the Stanford Sentiment Treebank or labelled texts."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import keras
import numpy as np
from keras import ops
from scipy.special import softmax

from service.artifact.manifest import DataSource, Endpoint, Metric, TensorSpec
from service.text.encoding import encode_tokens
from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.vocabulary import PAD, UNK, Vocabulary
from training.cells import Tensor
from training.data import corpora, labelled_texts, sst
from training.data.buckets import best_buckets
from training.data.dataset import (
    IGNORED,
    Array,
    Batch,
    Batches,
    Example,
    Examples,
    bucketed,
    collate,
    length_sorted,
    of_lengths,
)
from training.data.distillation import DistillationSet
from training.metrics.calibration import best_temperature
from training.metrics.predictions import Predictions
from training.metrics.scores import MACRO_RECALL, POLARITY, SST2, SST5, sentiment_accuracy
from training.models.attribution import classify, probabilities
from training.models.naive_bayes import log_count_ratios
from training.models.sentiment import SentimentClassifier, SentimentSizes, WordPairs, pair_ids
from training.models.text_classifier import TextClassifier, TextClassifierSizes
from training.tasks.base import Part, Predict, Recipe, State, Task, Tensors, projection
from training.tasks.losses import polarity_cross_entropy

NETWORKS: dict[type, Callable[..., keras.Model]] = {
    SentimentSizes: SentimentClassifier,
    TextClassifierSizes: TextClassifier,
}
SAMPLES = ("the food was good , not bad at all .", "the food was bad , not good at all .")  # the same words
LABELS = ("negative", "neutral", "positive")
GRADES = ("very negative", "negative", "neutral", "positive", "very positive")
LABEL_OF_GRADE = {LABELS: (0, 0, 1, 2, 2), GRADES: (0, 1, 2, 3, 4)}
CHOSEN_BY = {"imdb": POLARITY, "tweets": MACRO_RECALL}  # and SST-2 or SST-5 on the treebank
EVALUATION_TOKENS = 2000  # positions in a batch
BUCKETS = 10
EMBEDDING_SCALE = 0.1
DISTILLATION_WEIGHT = 2.0  # of the teacher's probabilities in the loss, where a label counts 1
NO_SHARES = np.zeros(sst.GRADES, np.float32)
GOLDEN_LENGTHS = (2, 3, 5, 8, 13, 21, 34)


@dataclass(frozen=True, kw_only=True)
class SentimentRecipe(Recipe):
    """Settings of a sentiment classifier.

    Attributes:
        corpus: of training.data.corpora, with train, dev and test as trees, or with tables of labelled texts.
        labels: LABELS, or the GRADES of the treebank.
        longest: the most tokens of a text; a longer one loses its middle. 0 is no limit.
        word_count: the least occurrences of a word in the vocabulary.
        distillation_tokens: tokens of the distillation set per epoch, in addition to the train split.
        word_dropout: the share of words that are replaced by UNK in training.
        balanced: whether each label has the same weight in the loss, however rare it is, as in macro recall.
    """

    corpus: str
    labels: tuple[str, ...] = LABELS
    longest: int = 0
    word_count: int = 1
    word_dropout: float = 0.1
    distillation_tokens: int = 0
    balanced: bool = False
    sizes: SentimentSizes | TextClassifierSizes = field(default_factory=SentimentSizes)

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


class Sentiment(Task):
    """Classification of texts by sentiment.

    The network predicts the five grades of the treebank, which carry more information than three labels; the endpoint
    sums the probabilities of the grades of each label.

    Args:
        splits: the phrases of each tree of train, dev and test, the whole sentence last.
    """

    kind = "classify"
    endpoint_name = "classify"
    tokenizer = "spacy-en"

    def __init__(
        self,
        recipe: SentimentRecipe,
        splits: dict[str, list[list[sst.Phrase]]],
        data: tuple[DataSource, ...],
        vocabularies: Mapping[str, Vocabulary] | None = None,
    ) -> None:
        self.recipe: SentimentRecipe = recipe
        self.data = data
        self.chosen_by = CHOSEN_BY.get(recipe.corpus, SST2 if recipe.labels == LABELS else SST5)
        splits = splits | {"train": splits["train"][: recipe.limit]}
        sentences = {split: [tree[-1] for tree in trees] for split, trees in splits.items()}
        counts = Counter(token.lower() for sentence in sentences["train"] for token in sentence.tokens)
        self._distillation = DistillationSet.read(recipe.teacher) if recipe.teacher and not vocabularies else None
        if self._distillation:
            self.data += self._distillation.sources
            counts = Counter(dict(zip(self._distillation.words, self._distillation.counts.tolist(), strict=True)))
        self.vocabularies = dict(vocabularies or {}) or {
            "words": Vocabulary.of_counts(counts, at_least=recipe.word_count, lowercase=True)
        }
        self.labels = {"sentiment": recipe.labels}
        one_hot = np.eye(len(recipe.labels), dtype=np.float32)
        self._label_of_grade = one_hot[list(LABEL_OF_GRADE[recipe.labels])]  # [5, K]
        self.lengths = dict(Counter(len(sentence.tokens) for sentence in sentences["train"]))
        self.length_buckets = best_buckets(self.lengths, BUCKETS)
        self.endpoint = _endpoint(len(recipe.labels), explained=isinstance(recipe.sizes, SentimentSizes))
        phrases = sst.distinct(phrase for tree in splits["train"] for phrase in tree)
        self._train = [self._example(phrase) for phrase in phrases]
        self._grade_weights = self._weights(phrase.grade for phrase in phrases)
        self._splits = {s: [self._example(sentence) for sentence in sentences[s]] for s in ("dev", "test")}
        self._polarity = SST2 if recipe.corpus not in CHOSEN_BY else POLARITY
        self._labelled = Examples.of(self._train)
        if self._distillation:
            self._labelled = Examples.of([replace(e, targets=e.targets | {"shares": NO_SHARES}) for e in self._train])
            self._distilled = Examples(self._distillation.lengths, self._distilled_example)

    def compact(self, model: keras.Model) -> None:
        if isinstance(model, SentimentClassifier):
            model.reader.embedding.quantize("int8")

    def calibrate(self, model: keras.Model, predict: Predict) -> None:
        """Divides the logits of both members by the temperature at which the labels of dev are most probable."""
        if not isinstance(model, SentimentClassifier):
            return
        examples = self._splits["dev"]
        logits = np.stack([np.asarray(model(**collate([e]).inputs))[:, 0] for e in examples])  # [N, M, 5]
        gold = self._label_of_grade[[int(example.targets["grade"]) for example in examples]]  # [N, K]

        def loss(temperature: float) -> float:
            grades = softmax(logits / temperature, axis=-1).mean(axis=1)  # [N, 5]
            return float(-np.log((grades @ self._label_of_grade * gold).sum(axis=-1)).mean())

        temperature = best_temperature(loss)
        for weight in model.scores():
            weight.assign(weight / temperature)

    def network(self) -> keras.Model:
        kind, words = NETWORKS[type(self.recipe.sizes)], self.vocabularies["words"]
        model = kind(len(words), sst.GRADES, self.recipe.sizes)
        if self._distillation:
            table = model.reader.embedding.embeddings
            table.assign(self._distillation.embeddings(words, table.shape[1], EMBEDDING_SCALE))
        if isinstance(model, SentimentClassifier) and model.word_pairs.ratios:
            self._weigh(model.word_pairs)
        return model

    def _weigh(self, word_pairs: WordPairs) -> None:
        """Sets the weights of words and pairs to their log-count ratios in the train split."""
        polar = [(e.inputs["word_ids"], int(e.targets["grade"]) - sst.NEUTRAL) for e in self._train]
        texts = [(np.asarray(ids), side > 0) for ids, side in polar if side]
        pairs = [(np.asarray(pair_ids(ids[None], word_pairs.rows)), positive) for ids, positive in texts]
        for weights, seen in zip(word_pairs.ratios, (texts, pairs), strict=True):
            weights.assign(log_count_ratios(seen, weights.shape[0])[:, None])

    def examples(self, split: str) -> list[Example]:
        """Returns the distinct phrases of train, or the sentences of dev or test, with their grades."""
        return self._train if split == "train" else self._splits[split]

    def train_batches(self, rng: np.random.Generator) -> Batches:
        def changed(batch: Batch) -> Batch:
            return batch.with_input("word_ids", self._with_dropped_words(batch.inputs["word_ids"], rng))

        examples = self._labelled
        if self._distillation:
            examples += self._distilled.sample(self.recipe.distillation_tokens, rng)
        return bucketed(examples, self.recipe.batch_tokens, rng).map(changed)

    def weight(self, batch: Batch) -> float:
        return batch.rows

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        """Returns the cross-entropy of the grade plus, where it is not neutral, that of positive against negative.

        With a distillation set, the cross-entropy of the teacher's probabilities is added. The members share no loss.
        """
        logits = model(**inputs, training=True)  # [M, B, 5]
        grades = ops.broadcast_to(targets["grade"], ops.shape(logits)[:2])
        known = ops.maximum(grades, 0)
        losses = ops.sparse_categorical_crossentropy(known, logits, from_logits=True) + polarity_cross_entropy(
            known, logits
        )
        losses *= ops.take(self._grade_weights, known)
        if "shares" not in targets:
            return ops.mean(losses), state
        labelled = ops.cast(grades != IGNORED, "float32")
        distilled = -ops.sum(targets["shares"] * ops.log_softmax(logits), axis=-1)  # 0 for labelled examples
        return ops.mean(labelled * losses + DISTILLATION_WEIGHT * distilled), state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        if isinstance(model, SentimentClassifier):
            return classify(*model.shares(**inputs), self._label_of_grade)._asdict()
        grades = ops.mean(ops.softmax(model(**inputs, training=False)), axis=0)  # [B, 5]
        return {"probabilities": ops.matmul(grades, self._label_of_grade)}

    def parts(self, model: keras.Model) -> dict[str, Part]:
        if not isinstance(model, SentimentClassifier):
            return {}

        def run(**tensors: Tensor) -> Tensors:
            logits, outputs = model.from_table(**tensors)
            return {"probabilities": probabilities(logits, self._label_of_grade), "outputs": outputs}

        def explain(**tensors: Tensor) -> Tensors:
            classification = classify(*model.shares_of(**tensors), self._label_of_grade)
            return {"contributions": classification.contributions, "baseline": classification.baseline}

        inputs, answers = self.endpoint.inputs, self.endpoint.outputs
        table = {"table": TensorSpec(dtype="float32", axes=("W", model.projected_size))}
        read = {"outputs": TensorSpec(dtype="float32", axes=("B", "T", model.outputs_size))}
        step = Endpoint(inputs=table | inputs, outputs={"probabilities": answers["probabilities"]} | read)
        explained = {name: answers[name] for name in ("contributions", "baseline")}
        rows = (len(self.vocabularies["words"]), model.projected_size)
        return {
            "project": projection(model.project, {}, rows),
            "classify_from_table": Part(step, run),
            "explain": Part(Endpoint(inputs=read | inputs, outputs=explained), explain),
        }

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        """Measures whole sentences."""
        predictions = self.predictions(predict, split)["sentiment"]
        return sentiment_accuracy(predictions.probabilities, predictions.gold, split, self._polarity)

    def samples(self, predict: Predict) -> dict[str, str]:
        """Returns how positive two texts of the same words are, in percent."""
        batch = collate([self._example(sst.Phrase(tuple(text.split()), sst.NEUTRAL)) for text in SAMPLES])
        probabilities, middle = predict(batch.inputs)["probabilities"], len(self.recipe.labels) // 2
        positive, negative = (probabilities[:, part].sum(-1) for part in (slice(middle + 1, None), slice(middle)))
        shares = 100 * positive / (positive + negative)
        return {text: f"{share:.1f} % positive" for text, share in zip(SAMPLES, shares, strict=True)}

    def predictions(self, predict: Predict, split: str) -> dict[str, Predictions]:
        examples = self._splits[split]
        probabilities = np.zeros((len(examples), len(self.recipe.labels)))
        for rows in length_sorted([len(example) for example in examples], EVALUATION_TOKENS):
            probabilities[rows] = predict(collate([examples[i] for i in rows]).inputs)["probabilities"]
        labels = self._label_of_grade.argmax(-1)[[int(example.targets["grade"]) for example in examples]]
        return {"sentiment": Predictions(labels, probabilities, np.arange(len(labels)))}

    def goldens(self) -> list[Example]:
        return of_lengths(self._splits["dev"], GOLDEN_LENGTHS)

    def _distilled_example(self, i: int) -> Example:
        assert self._distillation  # noqa: S101 (otherwise there are no distilled examples)
        logits = self._distillation.outputs["logits"][i]
        shares = np.exp(logits - logits.max())
        example = self._example(sst.Phrase(self._distillation.sentences[i], IGNORED))
        return replace(example, targets=example.targets | {"shares": (shares / shares.sum()).astype(np.float32)})

    def _weights(self, grades: Iterable[int]) -> Array:
        """Returns the weight of each grade in the loss, 1 on average, float32, shape [5]."""
        if not self.recipe.balanced:
            return np.ones(sst.GRADES, np.float32)
        counts = np.bincount(list(grades), minlength=sst.GRADES) @ self._label_of_grade  # [K]
        weights: Array = self._label_of_grade @ (counts.sum() / (len(counts) * counts)).astype(np.float32)
        return weights

    def _example(self, phrase: sst.Phrase) -> Example:
        ids = encode_tokens(phrase.tokens, self.vocabularies["words"])
        return Example(phrase.tokens, {"word_ids": ids}, {"grade": np.array(phrase.grade, np.int32)})

    def _with_dropped_words(self, word_ids: Array, rng: np.random.Generator) -> Array:
        """Replaces random words by UNK, so that its embedding is trained and no single word decides."""
        dropped = (rng.random(word_ids.shape) < self.recipe.word_dropout) & (word_ids != PAD)
        return np.where(dropped, UNK, word_ids).astype(np.int32)


def _endpoint(labels: int, *, explained: bool) -> Endpoint:
    """Returns the endpoint of a classifier; with `explained`, outputs also have the contribution of each word."""
    probabilities = TensorSpec(dtype="float32", axes=("B", labels))
    explanations = {
        "contributions": TensorSpec(dtype="float32", axes=("B", "T", labels)),
        "baseline": TensorSpec(dtype="float32", axes=("B", labels)),
    }
    return Endpoint(
        inputs={
            "word_ids": TensorSpec(dtype="int32", axes=("B", "T")),
            "lengths": TensorSpec(dtype="int32", axes=("B",)),
        },
        outputs={"probabilities": probabilities} | (explanations if explained else {}),
    )
