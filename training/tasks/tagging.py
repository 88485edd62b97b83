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
    Batches,
    Example,
    Examples,
    bucketed,
    collate,
    in_length_order,
)
from training.lesson import Lesson
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
TAUGHT_LABELS = 4  # of each head, the most probable, that a teacher tells of a word
EMBEDDING_SCALE = 0.1
GOLDEN_LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34)


@dataclass(frozen=True, kw_only=True)
class TaggingRecipe(Recipe):
    """Settings of a tagger.

    Attributes:
        corpus: of training.corpora, with train, dev and test in CoNLL-U.
        tokenizer: the service's, that splits text for this model.
        characters: of a word that are read at most, C.
        word_count: how often a word must be seen to be in the vocabulary.
        taught_tokens: of its teacher's lesson that are learnt from in an epoch, beside all of the train split.
        word_dropout: a word seen n times becomes UNK with the probability a / (a + n) (Kiperwasser and
            Goldberg 2016); this is a.
    """

    corpus: str
    tokenizer: str
    characters: int = 12
    word_count: int = 2
    word_dropout: float = 1.0
    taught_tokens: int = 0
    sizes: TaggerSizes | WordTaggerSizes | MostFrequentTagSizes = field(default_factory=TaggerSizes)

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Tagging":
        files = {split: corpora.read(self.corpus, split) for split in ("train", "dev", "test")}
        splits = {split: list(conllu.read(file)) for split, file in files.items()}
        return Tagging(
            self, splits, corpora.sources(self.corpus), files if self.language == "en" else None, vocabularies
        )


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
        vocabularies: Mapping[str, Vocabulary] | None = None,
    ) -> None:
        self.recipe: TaggingRecipe = recipe
        self._files = files or {}
        self.data = data
        self.tokenizer = recipe.tokenizer
        train = splits["train"][: recipe.limit]
        forms = [form for tree in train for form in tree.forms]
        counts = Counter(form.lower() for form in forms)
        self._lesson = Lesson.read(recipe.teacher) if recipe.teacher and not vocabularies else None
        if self._lesson:
            self.data += self._lesson.sources
            counts = Counter(dict(zip(self._lesson.words, self._lesson.counts.tolist(), strict=True)))
        self.vocabularies = dict(vocabularies or {}) or {
            "words": Vocabulary.of_counts(counts, at_least=recipe.word_count, lowercase=True),
            "characters": Vocabulary.count(character for form in forms for character in form),
        }
        words = self.vocabularies["words"]
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
        self._drop = np.zeros(len(words))
        for word, count in counts.items():
            self._drop[words.id(word)] = recipe.word_dropout / (recipe.word_dropout + count)
        self._drop[UNK] = 0.0
        self._train = Examples.of(self._splits["train"])
        if self._lesson:
            self._train = Examples.of([self._with_shares(example) for example in self._splits["train"]])
            self._taught = Examples(self._lesson.lengths, self._taught_example)

    def network(self) -> keras.Model:
        sizes = {head: len(labels) for head, labels in self.labels.items()}
        words, characters = self.vocabularies["words"], self.vocabularies["characters"]
        kind = NETWORKS[type(self.recipe.sizes)]
        model = kind(len(words), len(characters), sizes, self.recipe.sizes)
        if isinstance(model, MostFrequentTag):
            model.count(self._splits["train"])
        if self._lesson:
            table = model.word_embedding.embeddings
            table.assign(self._lesson.embeddings(words, table.shape[1], EMBEDDING_SCALE))
        return model

    def examples(self, split: str) -> list[Example]:
        """Returns the examples of a split, with the one label of each word as their targets."""
        return self._splits[split]

    def train_batches(self, rng: np.random.Generator) -> Batches:
        examples = self._train
        if self._lesson:
            examples += self._taught.some(self.recipe.taught_tokens, rng)
        return bucketed(examples, self.recipe.batch_tokens, rng).changed(lambda batch: self._changed(batch, rng))

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        logits = model(**inputs, training=True)
        return sum(_cross_entropy(targets[h], targets.get(f"{h}_shares"), logits[h]) for h in self.labels), state

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
        examples = [Example(tuple(forms), self.inputs(forms)) for forms in sentences]
        columns = self._probabilities(predict, examples)
        labels = [[[self.labels[h][i] for i in rows.argmax(-1)] for rows in columns[h]] for h in HEADS]
        return [[raw_text.Tags(*tags) for tags in zip(*heads, strict=True)] for heads in zip(*labels, strict=True)]

    def compact(self, model: keras.Model) -> None:
        if isinstance(model, Tagger):
            model.word_embedding.quantize("int8")

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
        return Example(forms, self.inputs(forms), targets)

    def _with_shares(self, example: Example) -> Example:
        """Returns an example of the train split as a teacher would give it, sure of the one label of each word."""
        targets = {}
        for head, ids in example.targets.items():
            targets[head] = np.stack([ids] * TAUGHT_LABELS, axis=-1)
            targets[f"{head}_shares"] = np.eye(1, TAUGHT_LABELS, dtype=np.float32).repeat(len(ids), axis=0)
        return replace(example, targets=targets)

    def _taught_example(self, i: int) -> Example:
        assert self._lesson  # noqa: S101 (it is what has taught)
        forms = self._lesson.sentences[i]
        return Example(forms, self.inputs(forms), self._lesson.answers_by_word(i))

    def inputs(self, forms: Sequence[str]) -> dict[str, Array]:
        """Returns what the network reads of a sentence: word_ids  # [T]; char_ids  # [T, C]."""
        words, characters = self.vocabularies["words"], self.vocabularies["characters"]
        return {
            "word_ids": encode_tokens(forms, words),
            "char_ids": encode_characters(forms, characters, self.recipe.characters),
        }

    def _changed(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Drops words, the rare ones oftener, so that UNK is learnt; lists each form once."""
        word_ids, char_ids = batch.inputs["word_ids"], batch.inputs["char_ids"]
        word_ids = np.where(rng.random(word_ids.shape) < self._drop[word_ids], UNK, word_ids).astype(np.int32)
        char_ids, forms = np.unique(char_ids.reshape(-1, char_ids.shape[-1]), axis=0, return_inverse=True)
        forms = forms.reshape(word_ids.shape).astype(np.int32)
        inputs = batch.inputs | {"word_ids": word_ids, "char_ids": char_ids, "forms": forms}
        return replace(batch, inputs=inputs, common=frozenset({"char_ids"}))


def _probabilities(logits: dict[str, Tensor]) -> Tensors:
    return {head: ops.softmax(scores) for head, scores in logits.items()}


def _labels(tags: Iterable[str]) -> tuple[str, ...]:
    """Returns the distinct tags, the most frequent first."""
    counts = Counter(tags)
    return tuple(sorted(counts, key=lambda tag: (-counts[tag], tag)))


def _cross_entropy(targets: Tensor, shares: Tensor | None, logits: Tensor) -> Tensor:
    """Returns the mean over the targets that are not IGNORED.

    targets: the label  # [B, T], or the few that a teacher deems possible  # [B, T, N], with how probable each is as
    shares  # [B, T, N]; logits  # [B, T, K].
    """
    if shares is None:
        valid = ops.cast(targets != IGNORED, "float32")
        losses = ops.sparse_categorical_crossentropy(ops.maximum(targets, 0), logits, from_logits=True)
    else:
        valid = ops.cast(targets[..., 0] != IGNORED, "float32")
        scores = ops.take_along_axis(logits, ops.maximum(targets, 0), axis=-1)
        surprise = ops.logsumexp(logits, axis=-1, keepdims=True) - scores
        losses = ops.sum(ops.maximum(shares, 0.0) * surprise, axis=-1)  # shares of few labels do not sum to one
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
