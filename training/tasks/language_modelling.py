"""Language models: the next character or word of a text, learned from one long text or a few."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from service.artifact.manifest import DataSource, Endpoint, Metric
from service.text.vocabulary import RESERVED, Ids, Vocabulary, encode_tokens
from training.cells import Tensor
from training.data import corpora, source_code
from training.data.catalogue import CORPORA
from training.data.dataset import Array, Batch, Batches, Example
from training.data.vocabularies import counted
from training.metrics.scores import CROSS_ENTROPY, cross_entropy
from training.models.language_model import LanguageModel, LanguageModelSizes
from training.tasks.base import Counted, Predict, Recipe, ServedTask, State
from training.tasks.endpoints import EndpointFunction, Tensors, floats, ints, projection

END = "<eos>"  # a line end, as a word
STRETCHES = 64  # of a split that are measured in parallel
CONTEXT = 512  # characters that are read before each of them but the first
SAMPLE = 300  # characters
GOLDENS = ("\n", "O", "ROMEO:\n", "To be, or not to be", "What say you to this, my lord?\n\nKING", "z$3& éß")
INTERPRETER = "interpreter"  # the standard library of the running Python


@dataclass(frozen=True, kw_only=True)
class LanguageModelRecipe(Recipe):
    """Settings of a language model. A batch has `batch_tokens / chunk` rows of `overlap + chunk` characters.

    Attributes:
        corpus: of training.data.corpora, with splits of its own or with texts that are divided here.
        unit: what is predicted: "character" or "word".
        test_share: of a text, its end, as the test split.
        dev_share: of the rest, its beginning, to select the epoch. The test split directly follows the train split: a
            text that changes its subject is harder to predict the farther it is from the train split.
        chunk: characters of a row per step.
        overlap: characters before them that are read again, so that every gradient goes back over at least that many,
            at the cost of reading them (Williams and Peng 1990).
        carries: whether the state is carried from step to step; otherwise each chunk begins with zeros.
    """

    corpus: str
    unit: str = "character"
    test_share: float = 0.1
    dev_share: float = 0.05
    chunk: int = 64
    overlap: int = 0
    carries: bool = True
    sizes: Any = field(default_factory=LanguageModelSizes)

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "LanguageModelling":
        if self.corpus == INTERPRETER:
            texts, sources = {"text": source_code.read()}, source_code.sources()
        else:
            texts = {file: corpora.read(self.corpus, file) for file in CORPORA[self.corpus].files}
            sources = corpora.sources(self.corpus)
        splits = texts if set(texts) == {"train", "dev", "test"} else divide(texts.values(), self)
        units = {split: words(text) if self.unit == "word" else text for split, text in splits.items()}
        return LanguageModelling(self, units, sources, vocabularies)


def divide(texts: Iterable[str], recipe: LanguageModelRecipe) -> dict[str, str]:
    """Divides each text into dev, train and test, in this order, and joins those of all."""
    splits = {"dev": "", "train": "", "test": ""}
    for text in texts:
        test = int(len(text) * (1 - recipe.test_share))
        dev = int(test * recipe.dev_share)
        splits["dev"] += text[:dev]
        splits["train"] += text[dev:test]
        splits["test"] += text[test:]
    return splits


def words(text: str) -> list[str]:
    """Returns the words of a text whose words are divided by spaces, and END for each line end."""
    return text.replace("\n", f" {END} ").split()


class LanguageModelling(ServedTask):
    """Prediction of the next character or word.

    Args:
        splits: the characters or words of train, dev and test, each one long text.
    """

    kind = "generate"
    endpoint_name = "step"
    chosen_by = CROSS_ENTROPY
    lower_is_better = True
    tokenizer = None

    def __init__(
        self,
        recipe: LanguageModelRecipe,
        splits: Mapping[str, Sequence[str]],
        data: tuple[DataSource, ...],
        vocabularies: Mapping[str, Vocabulary] | None = None,
    ) -> None:
        self.recipe: LanguageModelRecipe = recipe
        self.data = data
        splits = {**splits, "train": splits["train"][: recipe.limit]}
        self.vocabularies = dict(vocabularies or {}) or {"characters": counted(splits["train"])}
        characters = self.vocabularies["characters"]
        self.labels = {}
        self.lengths = {}
        self.length_buckets = ()
        self._splits = {split: encode_tokens(text, characters) for split, text in splits.items()}
        self._rows = max(1, recipe.batch_tokens // recipe.chunk)
        self._state_size = self.network().state_size
        state = floats("B", self._state_size)
        self.endpoint = Endpoint(
            inputs={"ids": ints("B", "T"), "lengths": ints("B"), "state": state},
            outputs={"logits": floats("B", len(characters)), "state": state},
        )

    def network(self) -> keras.Model:
        model = self.recipe.sizes.network(len(self.vocabularies["characters"]))
        if isinstance(model, Counted):
            model.count(self._splits["train"])
        return model

    def train_batches(self, rng: np.random.Generator) -> Batches:
        """Splits the text into rows that are read in parallel; each epoch starts at a random offset."""
        ids = self._splits["train"]
        ids = np.roll(ids, -rng.integers(len(ids)))
        chunk, overlap = self.recipe.chunk, self.recipe.overlap
        longest = len(ids) // self._rows
        steps = max(1, (longest - 1 - overlap) // chunk)
        width = min(overlap + steps * chunk + 1, longest)
        rows = ids[: self._rows * width].reshape(self._rows, width)
        return Batches(range(0, steps * chunk, chunk), lambda i: self._batch(rows[:, i : i + overlap + chunk + 1]))

    def initial_state(self) -> State:
        return ops.zeros((self._rows, self._state_size))

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        def read(ids: Tensor, state: State) -> tuple[Tensor, State]:
            rows, time = ops.shape(ids)
            logits, state = model(ids, ops.full((rows,), time, dtype="int32"), state, training=True)
            return logits, state

        ids, overlap = inputs["ids"], self.recipe.overlap
        logits, after = read(ids[:, :-overlap] if overlap else ids, state)  # the next batch begins behind these
        if overlap:
            tail, _ = read(ids[:, -overlap:], after)
            logits = ops.concatenate([logits, tail], axis=1)[:, overlap:]
        losses = ops.sparse_categorical_crossentropy(targets["ids"][:, overlap:], logits, from_logits=True)
        # Where the state is not carried, it stays the zeros of the epoch's start.
        return ops.mean(losses), ops.stop_gradient(after) if self.recipe.carries else state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        return _step(model.next(**inputs))

    def served_endpoints(self, model: keras.Model) -> dict[str, EndpointFunction]:
        if not isinstance(model, LanguageModel):
            return {}

        def run(**tensors: Tensor) -> Tensors:
            return _step(model.next_from_table(**tensors))

        table = {"table": floats("W", model.projected_size)}
        step = Endpoint(inputs=table | self.endpoint.inputs, outputs=self.endpoint.outputs)
        rows = (len(self.vocabularies["characters"]), model.projected_size)
        return {"project": projection(model.project, {}, rows), "step_from_table": EndpointFunction(step, run)}

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        """Measures every character of the split but its first, carrying the state from one to the next."""
        sums, sizes = self.scores(predict, split)
        return cross_entropy(sums.sum() / sizes.sum(), split, self.recipe.unit)

    def scores(self, predict: Predict, split: str) -> tuple[Array, Array]:
        """Returns the loss and the size of STRETCHES of a split, read in parallel, each after its CONTEXT."""
        ids = self._splits[split]
        starts = np.linspace(1, len(ids), STRETCHES, endpoint=False, dtype=int)  # the first target of each
        ends = np.append(starts[1:], len(ids))
        state = np.zeros((STRETCHES, self._state_size), np.float32)
        lengths = np.ones(STRETCHES, np.int32)
        sums = np.zeros(STRETCHES)
        for step in range(-min(CONTEXT, len(ids)), int((ends - starts).max())):
            at = starts + step  # of the target
            before, target = np.clip([at - 1, at], 0, len(ids) - 1)
            outputs = predict({"ids": ids[before][:, None], "lengths": lengths, "state": state})
            state = np.where((at > 0)[:, None], outputs["state"], 0.0)
            measured = (step >= 0) & (at < ends)
            sums += np.where(measured, _losses(outputs["logits"], ids[target]), 0.0)
        return sums, ends - starts

    def encoded(self, split: str) -> dict[str, Array]:
        return {"characters": self._splits[split]}

    def samples(self, predict: Predict) -> dict[str, str]:
        """Samples SAMPLE characters or words after a line end, with fixed random numbers."""
        rng = np.random.default_rng(0)
        characters = self.vocabularies["characters"]
        start, between = ("\n", "") if self.recipe.unit == "character" else (END, " ")
        ids, state = encode_tokens([start], characters), np.zeros((1, self._state_size), np.float32)
        sampled = []
        for _ in range(SAMPLE):
            outputs = predict({"ids": ids[None], "lengths": np.ones(1, np.int32), "state": state})
            state, logits = outputs["state"], outputs["logits"][0, len(RESERVED) :]
            ids = np.array([len(RESERVED) + (logits + rng.gumbel(size=len(logits))).argmax()], np.int32)
            sampled.append(characters.string(int(ids[0])))
        return {start: between.join(sampled)}

    def goldens(self) -> list[Example]:
        rng = np.random.default_rng(0)
        examples = []
        for i, text in enumerate(GOLDENS):
            # every other one from the middle of a text: a state that is not zero
            state = (rng.uniform(-0.5, 0.5, self._state_size) if i % 2 else np.zeros(self._state_size)).round(3)
            ids = encode_tokens(text, self.vocabularies["characters"])
            examples.append(Example(text, {"ids": ids, "state": state.astype(np.float32)}))
        return examples

    def _batch(self, rows: Ids) -> Batch:
        """Returns rows of characters and their targets, which are one position further."""
        lengths = np.full(len(rows), rows.shape[1] - 1, np.int32)
        return Batch({"ids": rows[:, :-1], "lengths": lengths}, {"ids": rows[:, 1:]})


def _step(logits_and_state: tuple[Tensor, Tensor]) -> Tensors:
    logits, state = logits_and_state
    return {"logits": logits, "state": state}


def _losses(logits: Array, targets: Ids) -> Array:
    """Returns minus the log-probability of each target, in nats. logits, shape [B, V]; targets, shape [B]."""
    logits = logits.astype(np.float64)
    highest = logits.max(axis=-1)
    normalizer = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=-1))
    losses: Array = normalizer - logits[np.arange(len(targets)), targets]
    return losses
