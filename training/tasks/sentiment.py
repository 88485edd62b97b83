"""Telling whether a text is negative, neutral or positive, on the phrases of the Stanford Sentiment Treebank."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

import keras
import numpy as np
from keras import ops

from service.artifact import DataSource, Endpoint, Metric, TensorSpec
from service.text.encoding import encode_tokens
from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.vocabulary import PAD, UNK, Vocabulary
from training import corpora, opinions, sst
from training.answers import Answers
from training.attribution import judge
from training.buckets import best_buckets
from training.cells import Tensor
from training.config import Recipe
from training.dataset import IGNORED, Array, Batch, Batches, Example, Examples, bucketed, collate, in_length_order
from training.lesson import Lesson
from training.models.sentiment import SentimentClassifier, SentimentSizes, WordPairs, pair_ids
from training.models.text_classifier import TextClassifier, TextClassifierSizes
from training.naive_bayes import ratios
from training.scorer import MACRO_RECALL, POLARITY, SST2, SST5, sentiment_accuracy
from training.tasks.base import Part, Predict, State, Task, Tensors, parts_at_the_projection

NETWORKS: dict[type, Callable[..., keras.Model]] = {
    SentimentSizes: SentimentClassifier,
    TextClassifierSizes: TextClassifier,
}
SAMPLES = ("the food was good , not bad at all .", "the food was bad , not good at all .")  # a bag of words is lost
LABELS = ("negative", "neutral", "positive")
GRADES = ("very negative", "negative", "neutral", "positive", "very positive")
LABEL_OF_GRADE = {LABELS: (0, 0, 1, 2, 2), GRADES: (0, 1, 2, 3, 4)}
CHOSEN_BY = {"imdb": POLARITY, "tweets": MACRO_RECALL}  # and SST-2 or SST-5 on the treebank
EVALUATION_TOKENS = 2000  # positions in a batch
BUCKETS = 10
EMBEDDING_SCALE = 0.1
TEMPERATURES = np.geomspace(0.5, 2.0, 101).tolist()
TAUGHT_WEIGHT = 2.0  # of what a teacher says, beside what a label says
NO_SHARES = np.zeros(sst.GRADES, np.float32)
GOLDEN_LENGTHS = (2, 3, 5, 8, 13, 21, 34)


@dataclass(frozen=True, kw_only=True)
class SentimentRecipe(Recipe):
    """Settings of a sentiment classifier.

    Attributes:
        corpus: of training.corpora, with trees of train, dev and test, or with tables of texts.
        labels: LABELS, or the GRADES of the treebank.
        longest: tokens of a text that are read: a longer one loses its middle. No limit where it is 0.
        word_count: how often a word must be seen to be in the vocabulary.
        taught_tokens: of its teacher's lesson that are learnt from in an epoch, beside all of the train split.
        word_dropout: the share of words that are read as UNK in training.
        balanced: each label counts the same in the loss, however rare it is, as it does in macro recall.
    """

    corpus: str
    labels: tuple[str, ...] = LABELS
    longest: int = 0
    word_count: int = 1
    word_dropout: float = 0.1
    taught_tokens: int = 0
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
            splits = opinions.splits(self.corpus, tokenizer, self.longest)
        return Sentiment(self, splits, corpora.sources(self.corpus), vocabularies)


class Sentiment(Task):
    """See Task. splits: the phrases of each tree of train, dev and test, the whole sentence last.

    The network learns the five grades of the treebank, which tell it more than three labels; the endpoint adds up
    the probabilities of the grades of each label.
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
        self._lesson = Lesson.read(recipe.teacher) if recipe.teacher and not vocabularies else None
        if self._lesson:
            self.data += self._lesson.sources
            counts = Counter(dict(zip(self._lesson.words, self._lesson.counts.tolist(), strict=True)))
        self.vocabularies = dict(vocabularies or {}) or {
            "words": Vocabulary.of_counts(counts, at_least=recipe.word_count, lowercase=True)
        }
        self.labels = {"sentiment": recipe.labels}
        self._label_of_grade = np.eye(len(recipe.labels), dtype=np.float32)[
            list(LABEL_OF_GRADE[recipe.labels])
        ]  # [5, K]
        self.lengths = dict(Counter(len(sentence.tokens) for sentence in sentences["train"]))
        self.length_buckets = best_buckets(self.lengths, BUCKETS)
        self.endpoint = _endpoint(len(recipe.labels), explained=isinstance(recipe.sizes, SentimentSizes))
        phrases = _distinct(phrase for tree in splits["train"] for phrase in tree)
        self._train = [self._example(phrase) for phrase in phrases]
        self._grade_weights = self._weights(phrase.grade for phrase in phrases)
        self._splits = {s: [self._example(sentence) for sentence in sentences[s]] for s in ("dev", "test")}

        self._polarity = SST2 if recipe.corpus not in CHOSEN_BY else POLARITY
        self._learnt = Examples.of(self._train)
        if self._lesson:
            self._learnt = Examples.of([replace(e, targets=e.targets | {"shares": NO_SHARES}) for e in self._train])
            self._taught = Examples(self._lesson.lengths, self._taught_example)

    def compact(self, model: keras.Model) -> None:
        if isinstance(model, SentimentClassifier):
            model.reader.embedding.quantize("int8")

    def calibrate(self, model: keras.Model, predict: Predict) -> None:
        """Divides the logits of both members by the temperature that makes the labels of dev most probable."""
        if not isinstance(model, SentimentClassifier):
            return
        examples = self._splits["dev"]
        logits = [np.asarray(model(**collate([example]).inputs))[:, 0] for example in examples]  # each [M, 5]
        gold = self._label_of_grade[[int(example.targets["grade"]) for example in examples]]  # [N, K]

        def loss(temperature: float) -> float:
            shares = np.exp(np.stack(logits) / temperature)  # [N, M, 5]
            grades = (shares / shares.sum(axis=-1, keepdims=True)).mean(axis=1)
            return float(-np.log((grades @ self._label_of_grade * gold).sum(axis=-1)).mean())

        temperature = min(TEMPERATURES, key=loss)
        for weight in model.scores():
            weight.assign(weight / temperature)

    def network(self) -> keras.Model:
        kind, words = NETWORKS[type(self.recipe.sizes)], self.vocabularies["words"]
        model = kind(len(words), sst.GRADES, self.recipe.sizes)
        if self._lesson:
            table = model.reader.embedding.embeddings
            table.assign(self._lesson.embeddings(words, table.shape[1], EMBEDDING_SCALE))
        if isinstance(model, SentimentClassifier) and model.word_pairs.ratios:
            self._weigh(model.word_pairs)
        return model

    def _weigh(self, word_pairs: WordPairs) -> None:
        """Gives words and pairs the ratios of their counts in positive and negative texts of the train split."""
        polar = [(e.inputs["word_ids"], int(e.targets["grade"]) - sst.NEUTRAL) for e in self._train]
        texts = [(np.asarray(ids), side > 0) for ids, side in polar if side]
        pairs = [(np.asarray(pair_ids(ids[None], word_pairs.rows)), positive) for ids, positive in texts]
        for weights, seen in zip(word_pairs.ratios, (texts, pairs), strict=True):
            weights.assign(ratios(seen, weights.shape[0])[:, None])

    def examples(self, split: str) -> list[Example]:
        """Returns the phrases of train, each once, or the sentences of dev or test, with their grades."""
        return self._train if split == "train" else self._splits[split]

    def train_batches(self, rng: np.random.Generator) -> Batches:
        def changed(batch: Batch) -> Batch:
            return replace(batch, inputs=batch.inputs | {"word_ids": self._with_unknown(batch.inputs["word_ids"], rng)})

        examples = self._learnt
        if self._lesson:
            examples += self._taught.some(self.recipe.taught_tokens, rng)
        return bucketed(examples, self.recipe.batch_tokens, rng).changed(changed)

    def weight(self, batch: Batch) -> float:
        return batch.rows

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        """Returns the loss of the grade, and of positive against negative where it is not neutral.

        With a teacher, that of the probabilities it gives, too, where it gives them. Each member learns for itself.
        """
        logits = model(**inputs, training=True)  # [M, B, 5]
        grades = ops.broadcast_to(targets["grade"], ops.shape(logits)[:2])
        known = ops.maximum(grades, 0)
        losses = ops.sparse_categorical_crossentropy(known, logits, from_logits=True) + _polarity_loss(known, logits)
        losses *= ops.take(self._grade_weights, known)
        if "shares" not in targets:
            return ops.mean(losses), state
        labelled = ops.cast(grades != IGNORED, "float32")
        taught = -ops.sum(targets["shares"] * ops.log_softmax(logits), axis=-1)  # 0 where the teacher says nothing
        return ops.mean(labelled * losses + TAUGHT_WEIGHT * taught), state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        if isinstance(model, SentimentClassifier):
            return judge(*model.shares(**inputs), self._label_of_grade)._asdict()
        grades = ops.mean(ops.softmax(model(**inputs, training=False)), axis=0)  # [B, 5]
        return {"probabilities": ops.matmul(grades, self._label_of_grade)}

    def parts(self, model: keras.Model) -> dict[str, Part]:
        if not isinstance(model, SentimentClassifier):
            return {}

        def run(**tensors: Tensor) -> Tensors:
            return judge(*model.shares_projected(**tensors), self._label_of_grade)._asdict()

        rows = (len(self.vocabularies["words"]), model.projected_size)
        return parts_at_the_projection(self, model.project, run, {}, rows, also=("word_ids", "lengths"))

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        """Measures whole sentences."""
        answers = self.answers(predict, split)["sentiment"]
        return sentiment_accuracy(answers.probabilities, answers.gold, split, self._polarity)

    def samples(self, predict: Predict) -> dict[str, str]:
        """Tells how positive two texts of the same words are."""
        batch = collate([self._example(sst.Phrase(tuple(text.split()), sst.NEUTRAL)) for text in SAMPLES])
        probabilities, middle = predict(batch.inputs)["probabilities"], len(self.recipe.labels) // 2
        positive, negative = (probabilities[:, part].sum(-1) for part in (slice(middle + 1, None), slice(middle)))
        shares = 100 * positive / (positive + negative)
        return {text: f"{share:.1f} % positive" for text, share in zip(SAMPLES, shares, strict=True)}

    def answers(self, predict: Predict, split: str) -> dict[str, Answers]:
        examples = self._splits[split]
        probabilities = np.zeros((len(examples), len(self.recipe.labels)))
        for rows in in_length_order(examples, EVALUATION_TOKENS):
            probabilities[rows] = predict(collate([examples[i] for i in rows]).inputs)["probabilities"]
        labels = self._label_of_grade.argmax(-1)[[int(example.targets["grade"]) for example in examples]]
        return {"sentiment": Answers(labels, probabilities, np.arange(len(labels)))}

    def goldens(self) -> list[Example]:
        ordered = sorted(self._splits["dev"], key=len)
        lengths = [len(example) for example in ordered]
        chosen = {bisect_left(lengths, length) for length in GOLDEN_LENGTHS} - {len(ordered)}
        return [ordered[i] for i in sorted(chosen)]

    def _taught_example(self, i: int) -> Example:
        assert self._lesson  # noqa: S101 (it is what has taught)
        logits = self._lesson.answers["logits"][i]
        shares = np.exp(logits - logits.max())
        example = self._example(sst.Phrase(self._lesson.sentences[i], IGNORED))
        return replace(example, targets=example.targets | {"shares": (shares / shares.sum()).astype(np.float32)})

    def _weights(self, grades: Iterable[int]) -> Array:
        """Returns how much each grade counts in the loss, 1 on average  # [5] float32."""
        if not self.recipe.balanced:
            return np.ones(sst.GRADES, np.float32)
        counts = np.bincount(list(grades), minlength=sst.GRADES) @ self._label_of_grade  # [K]
        weights: Array = self._label_of_grade @ (counts.sum() / (len(counts) * counts)).astype(np.float32)
        return weights

    def _example(self, phrase: sst.Phrase) -> Example:
        ids = encode_tokens(phrase.tokens, self.vocabularies["words"])
        return Example(phrase.tokens, {"word_ids": ids}, {"grade": np.array(phrase.grade, np.int32)})

    def _with_unknown(self, word_ids: Array, rng: np.random.Generator) -> Array:
        """Drops words, so that UNK is learnt, and to rely on no word alone."""
        dropped = (rng.random(word_ids.shape) < self.recipe.word_dropout) & (word_ids != PAD)
        return np.where(dropped, UNK, word_ids).astype(np.int32)


def _endpoint(labels: int, *, explained: bool) -> Endpoint:
    """Returns what a classifier takes and gives; one that is `explained` says what each word contributes."""
    whys = {
        "contributions": TensorSpec(dtype="float32", axes=("B", "T", labels)),
        "baseline": TensorSpec(dtype="float32", axes=("B", labels)),
    }
    return Endpoint(
        inputs={
            "word_ids": TensorSpec(dtype="int32", axes=("B", "T")),
            "lengths": TensorSpec(dtype="int32", axes=("B",)),
        },
        outputs={"probabilities": TensorSpec(dtype="float32", axes=("B", labels))} | (whys if explained else {}),
    )


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
