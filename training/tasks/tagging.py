"""Tagging the words of sentences with UPOS, XPOS and features, on a treebank of Universal Dependencies."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
from keras import ops

from service.artifact import DataSource, Endpoint, Metric, TensorSpec
from service.text.encoding import encode_characters, encode_tokens
from service.text.vocabulary import UNK, Vocabulary
from training import conllu, corpora, raw_text
from training.answers import Answers, temperature
from training.buckets import best_buckets
from training.cells import Tensor
from training.config import Recipe
from training.dataset import (
    IGNORED,
    Array,
    Batch,
    Example,
    bucketed,
    collate,
    in_length_order,
)
from training.models.counted import MostFrequentTag, MostFrequentTagSizes
from training.models.tagger import Tagger, TaggerSizes
from training.models.word_tagger import WordTagger, WordTaggerSizes
from training.scorer import ALL_TAGS, tagging_accuracy
from training.tasks.base import Part, Predict, State, Task, Tensors, parts_at_the_projection

NETWORKS: dict[type, Callable[..., keras.Model]] = {
    TaggerSizes: Tagger,
    WordTaggerSizes: WordTagger,
    MostFrequentTagSizes: MostFrequentTag,
}
HEADS = {"upos": "UPOS", "xpos": "XPOS", "feats": "UFeats"}  # column -> the name of its metric
EVALUATION_TOKENS = 2000  # positions in a batch
UNSEEN = -2  # the target where a label does not occur in the train split: never right
BUCKETS = 16
GOLDEN_LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34)


@dataclass(frozen=True, kw_only=True)
class TaggingRecipe(Recipe):
    """Settings of a tagger.

    Attributes:
        corpus: of training.corpora, with train, dev and test in CoNLL-U.
        tokenizer: the service's, that splits text for this model.
        characters: of a word that are read at most, C.
        word_count: how often a word must be seen to be in the vocabulary.
        word_dropout: a word seen n times becomes UNK with the probability a / (a + n) (Kiperwasser and
            Goldberg 2016); this is a.
    """

    corpus: str
    tokenizer: str
    characters: int = 12
    word_count: int = 2
    word_dropout: float = 1.0
    sizes: TaggerSizes | WordTaggerSizes | MostFrequentTagSizes = field(default_factory=TaggerSizes)

    def task(self) -> "Tagging":
        files = {split: corpora.read(self.corpus, split) for split in ("train", "dev", "test")}
        splits = {split: list(conllu.read(file)) for split, file in files.items()}
        return Tagging(self, splits, corpora.sources(self.corpus), files if self.language == "en" else None)


class Tagging(Task):
    """See Task. splits: the sentences of train, dev and test; files: them in CoNLL-U, to be measured from raw
    text, which the service's tokenizer cuts where it is English."""

    kind = "tag"
    endpoint_name = "tag"
    chosen_by = ALL_TAGS

    def __init__(
        self,
        recipe: TaggingRecipe,
        splits: dict[str, list[conllu.Tree]],
        data: tuple[DataSource, ...],
        files: Mapping[str, str] | None = None,
    ) -> None:
        self.recipe: TaggingRecipe = recipe
        self._files = files or {}
        self.data = data
        self.tokenizer = recipe.tokenizer
        train = splits["train"][: recipe.limit]
        forms = [form for tree in train for form in tree.forms]
        words = Vocabulary.count(forms, at_least=recipe.word_count, lowercase=True)
        characters = Vocabulary.count(character for form in forms for character in form)
        self.vocabularies = {"words": words, "characters": characters}
        columns = {head: _labels(getattr(w, head) for tree in train for w in tree.words) for head in HEADS}
        self.labels = {head: labels for head, labels in columns.items() if len(labels) > 1}  # else nothing is said
        self._label_ids = {head: {label: i for i, label in enumerate(labels)} for head, labels in self.labels.items()}
        self.lengths = dict(Counter(len(tree.words) for tree in train))
        self.length_buckets = best_buckets(self.lengths, BUCKETS)
        self.endpoint = _endpoint(recipe.characters, {head: len(labels) for head, labels in self.labels.items()})
        self._known = frozenset(forms)
        self._splits = {
            split: [self._example(tree) for tree in trees] for split, trees in (splits | {"train": train}).items()
        }
        counts = Counter(map(words.id, forms))
        self._drop = np.zeros(len(words))
        for id, count in counts.items():
            self._drop[id] = recipe.word_dropout / (recipe.word_dropout + count)

    def network(self) -> keras.Model:
        sizes = {head: len(labels) for head, labels in self.labels.items()}
        words, characters = self.vocabularies["words"], self.vocabularies["characters"]
        kind = NETWORKS[type(self.recipe.sizes)]
        model = kind(len(words), len(characters), sizes, self.recipe.sizes)
        if isinstance(model, MostFrequentTag):
            model.count(self._splits["train"])
        return model

    def train_batches(self, rng: np.random.Generator) -> list[Batch]:
        return [
            replace(batch, inputs=batch.inputs | {"word_ids": self._with_unknown(batch.inputs["word_ids"], rng)})
            for batch in bucketed(self._splits["train"], self.recipe.batch_tokens, rng)
        ]

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        logits = model(**inputs, training=True)
        return sum(_cross_entropy(targets[head], logits[head]) for head in self.labels), state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        return _probabilities(model(**inputs, training=False))

    def parts(self, model: keras.Model) -> dict[str, Part]:
        if not isinstance(model, Tagger):
            return {}

        def run(**tensors: Tensor) -> Tensors:
            return _probabilities(model.tag_projected(**tensors))

        words = {
            "word_ids": TensorSpec(dtype="int32", axes=("W",)),
            "char_ids": TensorSpec(dtype="int32", axes=("W", self.recipe.characters)),
        }
        return parts_at_the_projection(self, model.project, run, words, ("W", model.projected_size), also=("lengths",))

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        answers = self.answers(predict, split)
        columns = {HEADS[head]: given.right for head, given in answers.items()}
        known = [form in self._known for example in self._splits[split] for form in example.source]
        return tagging_accuracy(columns, np.array(known), split)

    def answers(self, predict: Predict, split: str) -> dict[str, Answers]:
        examples = self._splits[split]
        groups = np.repeat(np.arange(len(examples)), [len(example) for example in examples])
        return {
            head: Answers(np.concatenate([example.targets[head] for example in examples]), np.concatenate(rows), groups)
            for head, rows in self._probabilities(predict, examples).items()
        }

    def evaluate_text(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        if split not in self._files:
            return ()
        return raw_text.evaluate(self._files[split], lambda sentences: self.tag(predict, sentences), split)

    def tag(self, predict: Predict, sentences: Sequence[Sequence[str]]) -> list[list[raw_text.Tags]]:
        """Returns the tags of each word of each sentence."""
        examples = [Example(tuple(forms), self._inputs(forms)) for forms in sentences]
        columns = self._probabilities(predict, examples)
        labels = [[[self.labels[h][i] for i in rows.argmax(-1)] for rows in columns[h]] for h in HEADS]
        return [[raw_text.Tags(*tags) for tags in zip(*heads, strict=True)] for heads in zip(*labels, strict=True)]

    def calibrate(self, model: keras.Model, predict: Predict) -> None:
        """Divides the weights of each head, and with them its logits, by the temperature that suits dev."""
        for head, answers in self.answers(predict, "dev").items():
            dense = model.heads[head]
            for weight in (dense.kernel, dense.bias):
                weight.assign(weight / temperature(answers))

    def _probabilities(self, predict: Predict, examples: Sequence[Example]) -> dict[str, list[Array]]:
        """Returns what each head gives for the words of each example, each [T, K]."""
        found: dict[str, list[Any]] = {head: [None] * len(examples) for head in self.labels}
        for rows in in_length_order(examples, EVALUATION_TOKENS):
            outputs = predict(collate([examples[i] for i in rows]).inputs)
            for head in self.labels:
                for row, output in zip(rows, outputs[head], strict=True):
                    found[head][row] = output[: len(examples[row])]
        return found

    def goldens(self) -> list[Example]:
        ordered = sorted(self._splits["dev"], key=len)
        lengths = [len(example) for example in ordered]
        chosen = {bisect_left(lengths, length) for length in GOLDEN_LENGTHS} - {len(ordered)}
        return [ordered[i] for i in sorted(chosen)]

    def _example(self, tree: conllu.Tree) -> Example:
        forms = tree.forms
        targets = {}
        for head, ids in self._label_ids.items():
            targets[head] = np.array([ids.get(getattr(word, head), UNSEEN) for word in tree.words], np.int32)
        return Example(forms, self._inputs(forms), targets)

    def _inputs(self, forms: Sequence[str]) -> dict[str, Array]:
        words, characters = self.vocabularies["words"], self.vocabularies["characters"]
        return {
            "word_ids": encode_tokens(forms, words),
            "char_ids": encode_characters(forms, characters, self.recipe.characters),
        }

    def _with_unknown(self, word_ids: Array, rng: np.random.Generator) -> Array:
        """Drops words, the rare ones oftener, so that UNK is learnt."""
        return np.where(rng.random(word_ids.shape) < self._drop[word_ids], UNK, word_ids).astype(np.int32)


def _probabilities(logits: dict[str, Tensor]) -> Tensors:
    return {head: ops.softmax(scores) for head, scores in logits.items()}


def _labels(tags: Iterable[str]) -> tuple[str, ...]:
    """Returns the distinct tags, the most frequent first."""
    counts = Counter(tags)
    return tuple(sorted(counts, key=lambda tag: (-counts[tag], tag)))


def _cross_entropy(targets: Tensor, logits: Tensor) -> Tensor:
    """Returns the mean over the targets that are not IGNORED. targets  # [B, T]; logits  # [B, T, K]."""
    valid = ops.cast(targets != IGNORED, "float32")
    losses = ops.sparse_categorical_crossentropy(ops.maximum(targets, 0), logits, from_logits=True)
    return ops.sum(losses * valid) / ops.sum(valid)


def _endpoint(characters: int, labels: dict[str, int]) -> Endpoint:
    return Endpoint(
        inputs={
            "word_ids": TensorSpec(dtype="int32", axes=("B", "T")),
            "char_ids": TensorSpec(dtype="int32", axes=("B", "T", characters)),
            "lengths": TensorSpec(dtype="int32", axes=("B",)),
        },
        outputs={head: TensorSpec(dtype="float32", axes=("B", "T", size)) for head, size in labels.items()},
    )
