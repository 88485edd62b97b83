"""Classification of texts by any set of labels."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops
from scipy.special import softmax

from service.artifact.manifest import DataSource, Endpoint, Metric
from service.errors import ConfigurationError
from service.text.vocabulary import PAD, UNK, Vocabulary, encode_tokens
from training.cells import Tensor
from training.data.buckets import best_buckets
from training.data.dataset import Array, Batch, Batches, Example, Examples, bucketed, collate, length_sorted, of_lengths
from training.data.vocabularies import counted
from training.metrics.calibration import best_temperature
from training.metrics.predictions import Predictions
from training.metrics.scores import MACRO_F1, label_accuracy
from training.models.attribution import classify, probabilities
from training.models.naive_bayes import log_count_ratios
from training.models.sentiment import SentimentClassifier, SentimentSizes, WordPairs, pair_ids
from training.tasks.base import Predict, Recipe, ServedTask, State, predict_all
from training.tasks.endpoints import EndpointFunction, Tensors, floats, ints, projection, table_specs

CALIBRATION_TOKENS = 20_000
CALIBRATED = 1000  # texts: enough for one number
BUCKETS = 10
GOLDEN_LENGTHS = (2, 3, 5, 8, 13, 21, 34)
MOST_EXPLAINED = 100  # labels: attribution takes memory with their square


class TokenizedText(NamedTuple):
    """The tokens of a text, its class and its corpus, each a number from 0."""

    tokens: tuple[str, ...]
    class_id: int
    corpus: int = 0


@dataclass(frozen=True, kw_only=True)
class ClassificationRecipe(Recipe):
    """Settings of a classifier.

    Attributes:
        corpus: what it learns from.
        tokenizer: the service's tokenizer for this model.
        longest: the most tokens of a text; a longer one loses its middle. 0 is no limit.
        word_count: the least occurrences of a word in the vocabulary.
        word_dropout: the share of words that are replaced by UNK in training.
        balanced: whether each label has the same weight in the loss, however rare it is, as in macro recall.
    """

    corpus: str
    tokenizer: str = "spacy-en"
    longest: int = 0
    word_count: int = 1
    word_dropout: float = 0.1
    balanced: bool = False
    sizes: Any = field(default_factory=SentimentSizes)

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Classification":
        raise ConfigurationError(f"{self.name} was made of files: see `tagwerk-train train classifier --help`")


class Classification(ServedTask):
    """Classification of texts.

    The network predicts classes; the endpoint sums the probabilities of the classes of each label. Here each class is a
    label of its own.

    Args:
        splits: the texts of train, dev and test.
        labels: by the name of their kind.
        words: of a text, in lower case, how often each occurs in train.
        label_of_class: 1 where a class belongs to a label, float32, shape [classes, K]; each to its own by default.
        vocabularies: by name, of a model that is to be measured; by default built from `words`.
    """

    kind = "classify"
    endpoint_name = "classify"
    chosen_by = MACRO_F1

    def __init__(
        self,
        recipe: ClassificationRecipe,
        splits: Mapping[str, Sequence[TokenizedText]],
        labels: Mapping[str, tuple[str, ...]],
        words: Mapping[str, int],
        data: tuple[DataSource, ...],
        *,
        label_of_class: Array | None = None,
        vocabularies: Mapping[str, Vocabulary] | None = None,
    ) -> None:
        self.recipe: ClassificationRecipe = recipe
        self.data = data
        self.tokenizer = recipe.tokenizer
        self.labels = dict(labels)
        ((self._kind, names),) = labels.items()
        self.vocabularies = dict(vocabularies or {}) or {
            "words": counted(words, at_least=recipe.word_count, lowercase=True)
        }
        self.label_of_class = np.eye(len(names), dtype=np.float32) if label_of_class is None else label_of_class
        self.lengths = self._lengths(splits["train"])
        self.length_buckets = best_buckets(self.lengths, BUCKETS)
        explained = isinstance(recipe.sizes, SentimentSizes) and len(names) <= MOST_EXPLAINED
        self.endpoint = _endpoint(len(names), explained=explained)
        self._splits = {split: [self._example(text) for text in texts] for split, texts in splits.items()}
        self._class_weights = self._weights(text.class_id for text in splits["train"])

    def examples(self, split: str) -> list[Example]:
        """Returns the examples of a split with their classes."""
        return self._splits[split]

    def network(self) -> keras.Model:
        model = self.recipe.sizes.network(len(self.vocabularies["words"]), len(self.label_of_class))
        if isinstance(model, SentimentClassifier) and model.word_pairs.ratios:
            self._weigh(model.word_pairs)
        return model

    def _weigh(self, word_pairs: WordPairs) -> None:
        """Sets the weights of words and pairs to their log-count ratios in the train split."""
        texts = [(np.asarray(e.inputs["word_ids"]), side) for e in self._splits["train"] if (side := self.side(e)) >= 0]
        pairs = [(np.asarray(pair_ids(ids[None], word_pairs.rows)), side) for ids, side in texts]
        for weights, seen in zip(word_pairs.ratios, (texts, pairs), strict=True):
            weights.assign(log_count_ratios(seen, weights.shape[0])[:, None])

    def side(self, example: Example) -> int:
        """Returns the class that log-count ratios separate, a number from 0; -1 leaves the example out of them."""
        return int(example.targets["class_id"])

    def train_batches(self, rng: np.random.Generator) -> Batches:
        return self._batches(Examples.of(self._splits["train"]), rng)

    def _batches(self, examples: Examples, rng: np.random.Generator) -> Batches:
        def changed(batch: Batch) -> Batch:
            dropped = self._with_dropped_words(batch.inputs["word_ids"], rng)
            return Batch(batch.inputs | {"word_ids": dropped}, batch.targets)

        return bucketed(examples, self.recipe.batch_tokens, rng).map(changed)

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        """Returns the mean cross-entropy of the members, which share no loss."""
        logits = model(**inputs, training=True)  # [M, B, K]
        classes = ops.broadcast_to(targets["class_id"], ops.shape(logits)[:2])
        losses = ops.sparse_categorical_crossentropy(classes, logits, from_logits=True)
        return ops.mean(losses * ops.take(self._class_weights, classes)), state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        if "contributions" in self.endpoint.outputs:
            shares, biases = model.shares(**inputs)
            return classify(shares, biases, self.label_of_class)._asdict()
        return {"probabilities": probabilities(model(**inputs, training=False), self.label_of_class)}

    def served_endpoints(self, model: keras.Model) -> dict[str, EndpointFunction]:
        if not isinstance(model, SentimentClassifier):
            return {}

        def run(**tensors: Tensor) -> Tensors:
            return {"probabilities": probabilities(model.from_table(**tensors), self.label_of_class)}

        def explain(**tensors: Tensor) -> Tensors:
            classification = classify(*model.shares_from_table(**tensors), self.label_of_class)
            return {"contributions": classification.contributions, "baseline": classification.baseline}

        answers = self.endpoint.outputs
        rounded = model.reader.gru.directions if model.reader.rounded else None
        inputs = table_specs("table", ("W", model.projected_size), rounded) | self.endpoint.inputs
        step = Endpoint(inputs=inputs, outputs={"probabilities": answers["probabilities"]})
        explained = {name: answers[name] for name in ("contributions", "baseline") if name in answers}
        rows = (len(self.vocabularies["words"]), model.projected_size)
        functions = {
            "project": projection(model.project, {}, rows, rounded),
            "classify_from_table": EndpointFunction(step, run),
        }
        return functions | (
            {"explain": EndpointFunction(Endpoint(inputs=inputs, outputs=explained), explain)} if explained else {}
        )

    def compact(self, model: keras.Model) -> None:
        if isinstance(model, SentimentClassifier):
            model.reader.embedding.quantize("int8")

    def calibrate(self, model: keras.Model, predict: Predict) -> None:
        """Divides the logits of all members by the temperature at which the labels of dev are most probable."""
        if not isinstance(model, SentimentClassifier):
            return
        examples = self._splits["dev"][:CALIBRATED]
        batches = length_sorted([len(example) for example in examples], CALIBRATION_TOKENS)
        examples = [examples[i] for rows in batches for i in rows]
        read = [model(**collate([self._splits["dev"][i] for i in rows]).inputs) for rows in batches]
        logits = np.concatenate(read, axis=1).swapaxes(0, 1)  # [N, M, classes]
        gold = self.label_of_class[[int(example.targets["class_id"]) for example in examples]]  # [N, K]

        def loss(temperature: float) -> float:
            classes = softmax(logits / temperature, axis=-1).mean(axis=1)  # [N, classes]
            return float(-np.log((classes @ self.label_of_class * gold).sum(axis=-1)).mean())

        temperature = best_temperature(loss)
        for weight in model.scores():
            weight.assign(weight / temperature)

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        predictions = self.predictions(predict, split)[self._kind]
        return label_accuracy(predictions.labels, predictions.gold, split)

    def predictions(self, predict: Predict, split: str) -> dict[str, Predictions]:
        """Returns the predictions for whole texts."""
        examples = self._splits[split]
        found = np.zeros((len(examples), self.label_of_class.shape[1]))
        for i, outputs in predict_all(predict, examples):
            found[i] = outputs["probabilities"]
        gold = self.label_of_class.argmax(-1)[[int(example.targets["class_id"]) for example in examples]]
        return {self._kind: Predictions(gold, found, np.arange(len(gold)))}

    def encoded(self, split: str) -> dict[str, Array]:
        return {"words": np.concatenate([example.inputs["word_ids"] for example in self._splits[split]])}

    def goldens(self) -> list[Example]:
        return of_lengths(self._splits["dev"], GOLDEN_LENGTHS)

    def _lengths(self, texts: Sequence[TokenizedText]) -> dict[int, int]:
        """Counts texts by their length in tokens."""
        return dict(Counter(len(text.tokens) for text in texts))

    def _weights(self, classes: Iterable[int]) -> Array:
        """Returns the weight of each class in the loss, 1 on average, float32, shape [classes]."""
        count = len(self.label_of_class)
        if not self.recipe.balanced:
            return np.ones(count, np.float32)
        counts = np.bincount(list(classes), minlength=count) @ self.label_of_class  # [K]
        weights: Array = self.label_of_class @ (counts.sum() / (len(counts) * counts)).astype(np.float32)
        return weights

    def _example(self, text: TokenizedText) -> Example:
        ids = encode_tokens(text.tokens, self.vocabularies["words"])
        numbers = {"class_id": text.class_id, "corpus": text.corpus}
        return Example(text.tokens, {"word_ids": ids}, {name: np.array(n, np.int32) for name, n in numbers.items()})

    def _with_dropped_words(self, word_ids: Array, rng: np.random.Generator) -> Array:
        """Replaces random words by UNK, so that its embedding is trained and no single word decides."""
        dropped = (rng.random(word_ids.shape) < self.recipe.word_dropout) & (word_ids != PAD)
        return np.where(dropped, UNK, word_ids).astype(np.int32)


def _endpoint(labels: int, *, explained: bool) -> Endpoint:
    """Returns the endpoint of a classifier; with `explained`, outputs also have the contribution of each word."""
    outputs = {"probabilities": floats("B", labels)}
    explanations = {"contributions": floats("B", "T", labels), "baseline": floats("B", labels)}
    inputs = {"word_ids": ints("B", "T"), "lengths": ints("B")}
    return Endpoint(inputs=inputs, outputs=outputs | (explanations if explained else {}))
