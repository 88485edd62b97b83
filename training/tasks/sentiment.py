"""Telling whether a text is negative, neutral or positive, on the phrases of the Stanford Sentiment Treebank."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache

import keras
import numpy as np
from keras import ops

from service.artifact import DataSource, Endpoint, Metric, TensorSpec
from service.text.encoding import encode_tokens
from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.vocabulary import PAD, UNK, Vocabulary
from training import corpora, sst
from training.answers import Answers
from training.attribution import judge
from training.buckets import best_buckets
from training.cells import Tensor
from training.config import Recipe
from training.dataset import Array, Batch, Example, bucketed, collate, in_length_order
from training.models.sentiment import SentimentClassifier, SentimentSizes
from training.models.text_classifier import TextClassifier, TextClassifierSizes
from training.scorer import SST2, sentiment_accuracy
from training.tasks.base import Part, Predict, State, Task, Tensors, parts_at_the_projection

NETWORKS: dict[type, Callable[..., keras.Model]] = {
    SentimentSizes: SentimentClassifier,
    TextClassifierSizes: TextClassifier,
}
SAMPLES = ("the food was good , not bad at all .", "the food was bad , not good at all .")  # a bag of words is lost
LABELS = ("negative", "neutral", "positive")
LABEL_OF_GRADE = (0, 0, 1, 2, 2)
EVALUATION_TOKENS = 2000  # positions in a batch
BUCKETS = 10
GOLDEN_LENGTHS = (2, 3, 5, 8, 13, 21, 34)


@dataclass(frozen=True, kw_only=True)
class SentimentRecipe(Recipe):
    """Settings of a sentiment classifier.

    Attributes:
        corpus: of training.corpora, with trees of train, dev and test.
        word_count: how often a word must be seen to be in the vocabulary.
        word_dropout: the share of words that are read as UNK in training.
    """

    corpus: str
    word_count: int = 1
    word_dropout: float = 0.1
    sizes: SentimentSizes | TextClassifierSizes = field(default_factory=SentimentSizes)

    def task(self) -> "Sentiment":
        tokenizer = SpacyTokenizer()

        @cache
        def tokenize(word: str) -> tuple[str, ...]:
            return tuple(token.text for token in tokenizer.tokens(word))

        splits = {s: list(sst.read(corpora.read(self.corpus, s), tokenize)) for s in ("train", "dev", "test")}
        return Sentiment(self, splits, corpora.sources(self.corpus))


class Sentiment(Task):
    """See Task. splits: the phrases of each tree of train, dev and test, the whole sentence last.

    The network learns the five grades of the treebank, which tell it more than three labels; the endpoint adds up
    the probabilities of the grades of each label.
    """

    kind = "classify"
    endpoint_name = "classify"
    chosen_by = SST2
    tokenizer = "spacy-en"

    def __init__(
        self, recipe: SentimentRecipe, splits: dict[str, list[list[sst.Phrase]]], data: tuple[DataSource, ...]
    ) -> None:
        self.recipe: SentimentRecipe = recipe
        self.data = data
        splits = splits | {"train": splits["train"][: recipe.limit]}
        sentences = {split: [tree[-1] for tree in trees] for split, trees in splits.items()}
        words = Vocabulary.count(
            (token for sentence in sentences["train"] for token in sentence.tokens),
            at_least=recipe.word_count,
            lowercase=True,
        )
        self.vocabularies = {"words": words}
        self.labels = {"sentiment": LABELS}
        self.lengths = dict(Counter(len(sentence.tokens) for sentence in sentences["train"]))
        self.length_buckets = best_buckets(self.lengths, BUCKETS)
        self.endpoint = _endpoint(explained=isinstance(recipe.sizes, SentimentSizes))
        phrases = _distinct(phrase for tree in splits["train"] for phrase in tree)
        self._train = [self._example(phrase) for phrase in phrases]
        self._splits = {s: [self._example(sentence) for sentence in sentences[s]] for s in ("dev", "test")}

    def network(self) -> keras.Model:
        kind = NETWORKS[type(self.recipe.sizes)]
        return kind(len(self.vocabularies["words"]), sst.GRADES, self.recipe.sizes)

    def train_batches(self, rng: np.random.Generator) -> list[Batch]:
        return [
            replace(batch, inputs=batch.inputs | {"word_ids": self._with_unknown(batch.inputs["word_ids"], rng)})
            for batch in bucketed(self._train, self.recipe.batch_tokens, rng)
        ]

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        """Returns the loss of the grade, and of positive against negative where it is not neutral.

        Each member learns for itself.
        """
        logits = model(**inputs, training=True)  # [M, B, 5]
        grades = ops.broadcast_to(targets["grade"], ops.shape(logits)[:2])
        losses = ops.sparse_categorical_crossentropy(grades, logits, from_logits=True) + _polarity_loss(grades, logits)
        return ops.mean(losses), state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        if isinstance(model, SentimentClassifier):
            return _judgement(*model.shares(**inputs))
        return _probabilities(model(**inputs, training=False))

    def parts(self, model: keras.Model) -> dict[str, Part]:
        if not isinstance(model, SentimentClassifier):
            return {}

        def run(**tensors: Tensor) -> Tensors:
            return _judgement(*model.shares_projected(**tensors))

        rows = (len(self.vocabularies["words"]), model.projected_size)
        return parts_at_the_projection(self, model.project, run, {}, rows, also=("word_ids", "lengths"))

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        """Measures whole sentences."""
        answers = self.answers(predict, split)["sentiment"]
        return sentiment_accuracy(answers.probabilities, answers.gold, split)

    def samples(self, predict: Predict) -> dict[str, str]:
        """Tells how positive two texts of the same words are."""
        batch = collate([self._example(sst.Phrase(tuple(text.split()), sst.NEUTRAL)) for text in SAMPLES])
        negative, _, positive = predict(batch.inputs)["probabilities"].T
        shares = 100 * positive / (positive + negative)
        return {text: f"{share:.1f} % positive" for text, share in zip(SAMPLES, shares, strict=True)}

    def answers(self, predict: Predict, split: str) -> dict[str, Answers]:
        examples = self._splits[split]
        probabilities = np.zeros((len(examples), len(LABELS)))
        for rows in in_length_order(examples, EVALUATION_TOKENS):
            probabilities[rows] = predict(collate([examples[i] for i in rows]).inputs)["probabilities"]
        labels = np.array([LABEL_OF_GRADE[int(example.targets["grade"])] for example in examples])
        return {"sentiment": Answers(labels, probabilities, np.arange(len(labels)))}

    def goldens(self) -> list[Example]:
        ordered = sorted(self._splits["dev"], key=len)
        lengths = [len(example) for example in ordered]
        chosen = {bisect_left(lengths, length) for length in GOLDEN_LENGTHS} - {len(ordered)}
        return [ordered[i] for i in sorted(chosen)]

    def _example(self, phrase: sst.Phrase) -> Example:
        ids = encode_tokens(phrase.tokens, self.vocabularies["words"])
        return Example(phrase.tokens, {"word_ids": ids}, {"grade": np.array(phrase.grade, np.int32)})

    def _with_unknown(self, word_ids: Array, rng: np.random.Generator) -> Array:
        """Drops words, so that UNK is learnt, and to rely on no word alone."""
        dropped = (rng.random(word_ids.shape) < self.recipe.word_dropout) & (word_ids != PAD)
        return np.where(dropped, UNK, word_ids).astype(np.int32)


def _endpoint(*, explained: bool) -> Endpoint:
    """Returns what a classifier takes and gives; one that is `explained` says what each word contributes."""
    whys = {
        "contributions": TensorSpec(dtype="float32", axes=("B", "T", len(LABELS))),
        "baseline": TensorSpec(dtype="float32", axes=("B", len(LABELS))),
    }
    return Endpoint(
        inputs={
            "word_ids": TensorSpec(dtype="int32", axes=("B", "T")),
            "lengths": TensorSpec(dtype="int32", axes=("B",)),
        },
        outputs={"probabilities": TensorSpec(dtype="float32", axes=("B", len(LABELS)))} | (whys if explained else {}),
    )


def _probabilities(logits: Tensor) -> Tensors:
    """Returns the probability of each label from the scores of the grades  # [M, B, 5] -> [B, K]."""
    grades = ops.mean(ops.softmax(logits), axis=0)  # [B, 5]
    return {"probabilities": ops.matmul(grades, _labels())}


def _judgement(shares: Tensor, biases: Tensor) -> Tensors:
    """Returns the same, and why, from what each word adds to the scores  # [M, B, T, 5]; biases  # [M, 5]."""
    return judge(shares, biases, _labels())._asdict()


def _labels() -> Tensor:
    """Tells which grades belong to each label  # [5, K]."""
    return ops.one_hot(LABEL_OF_GRADE, len(LABELS))


def _polarity_loss(grades: Tensor, logits: Tensor) -> Tensor:
    """Returns minus the log-probability of the right one of positive and negative; 0 where it is neutral  # [M, B]."""
    positive, negative = logits[..., sst.NEUTRAL + 1 :], logits[..., : sst.NEUTRAL]
    odds = ops.logsumexp(positive, axis=-1) - ops.logsumexp(negative, axis=-1)
    sign = ops.cast(ops.sign(grades - sst.NEUTRAL), "float32")
    return ops.abs(sign) * ops.softplus(-sign * odds)


def _distinct(phrases: Iterable[sst.Phrase]) -> list[sst.Phrase]:
    """Returns each phrase once, in lower case, with the grade that it has most often."""
    grades: defaultdict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
    for phrase in phrases:
        grades[tuple(token.lower() for token in phrase.tokens)][phrase.grade] += 1
    return [sst.Phrase(tokens, counts.most_common(1)[0][0]) for tokens, counts in grades.items()]
