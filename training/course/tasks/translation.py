"""Translations of short texts, learned from pairs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import sacrebleu
from keras import ops

from service.artifact.manifest import Endpoint, Metric
from service.text.vocabulary import PAD, Vocabulary
from training.cells import Tensor
from training.course.data.subwords import Subwords
from training.course.models.translator import EncoderDecoderSizes, Translator, longest
from training.data import translations
from training.data.dataset import IGNORED, Array, Batches, Example, Examples, bucketed, collate
from training.data.translations import Pair
from training.tasks.base import Predict, Recipe, State, Task, predict_all
from training.tasks.endpoints import Tensors, ints
from training.tasks.losses import label_cross_entropy

EVALUATION_TOKENS = 4000  # positions in a batch
SAMPLES = 10
BLEU, CHRF = "BLEU", "chrF"


@dataclass(frozen=True, kw_only=True)
class TranslationRecipe(Recipe):
    """Settings of a translator.

    Attributes:
        corpus: of training.data.corpora, with pairs in train, dev and test.
        subwords: in the vocabulary of both languages.
        longest: the most subwords of a text or a translation that is learned from.
    """

    corpus: str
    subwords: int
    longest: int
    sizes: EncoderDecoderSizes = field(default_factory=EncoderDecoderSizes)

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Translation":
        return Translation(self, {s: list(translations.read(self.corpus, s)) for s in ("train", "dev", "test")})


class Translation(Task):
    """Translation of texts, measured by BLEU and chrF, of all texts and of each kind.

    Args:
        splits: the pairs of train, dev and test.
    """

    endpoint_name = "translate"
    chosen_by = BLEU

    def __init__(self, recipe: TranslationRecipe, splits: Mapping[str, Sequence[Pair]]) -> None:
        self.recipe: TranslationRecipe = recipe
        self.labels = {}
        self._splits = splits
        train = splits["train"][: recipe.limit]
        self.subwords = Subwords((text for pair in train for text in (pair.text, pair.translation)), recipe.subwords)
        examples = [self._example(pair) for pair in train]
        self._examples = [example for example in examples if _longer(example) <= recipe.longest]
        inputs = {"symbol_ids": ints("B", "T"), "lengths": ints("B")}
        self.endpoint = Endpoint(inputs=inputs, outputs={"translation_ids": ints("B", "L")})

    def network(self) -> keras.Model:
        return Translator(len(self.subwords), self.recipe.sizes)

    def train_batches(self, rng: np.random.Generator) -> Batches:
        lengths = np.array([_longer(example) for example in self._examples])
        return bucketed(Examples(lengths, self._examples.__getitem__), self.recipe.batch_tokens, rng)

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        wanted = targets["translation_ids"]  # [B, L]
        steps = ops.sum(ops.cast(wanted != IGNORED, "int32"), axis=1)
        logits = model(**inputs, translation=ops.maximum(wanted, PAD), steps=steps, training=True)
        return label_cross_entropy(wanted, None, logits), state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        return {"translation_ids": model.translate(**inputs)}

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        pairs = self._splits[split]
        return translation_scores(self.translate(predict, [pair.text for pair in pairs]), pairs, split)

    def samples(self, predict: Predict) -> dict[str, str]:
        """Translates the first texts of dev."""
        texts = [pair.text for pair in self._splits["dev"][:SAMPLES]]
        return dict(zip(texts, self.translate(predict, texts), strict=True))

    def attend(self, model: keras.Model, text: str) -> tuple[list[str], list[str], Array]:
        """Translates a text.

        Returns:
            The T subwords that were read; the L generated ones, and the word "end"; and the attention weights of each
            generated one on each that was read, whose rows sum to 1, shape [L, T].
        """
        read = self.subwords.split(text)
        inputs = collate([Example(text, {"symbol_ids": self.subwords.encode(text)})]).inputs
        ids, weights = (np.asarray(output[0]) for output in model.attend(**inputs, steps=longest(len(read))))
        ended = ids == PAD
        length = int(ended.argmax()) if ended.any() else len(ids) - 1
        return read, [*map(self.subwords.string, ids[:length].tolist()), "end"], weights[: length + 1]

    def translate(self, predict: Predict, texts: Iterable[str]) -> list[str]:
        """Returns the translation of each text."""
        examples = [Example(text, {"symbol_ids": self.subwords.encode(text)}) for text in texts]
        found = [""] * len(examples)
        for i, outputs in predict_all(predict, examples, EVALUATION_TOKENS):
            found[i] = self.subwords.decode(outputs["translation_ids"].tolist())
        return found

    def _example(self, pair: Pair) -> Example:
        wanted = np.append(self.subwords.encode(pair.translation), np.int32(PAD))
        return Example(pair.text, {"symbol_ids": self.subwords.encode(pair.text)}, {"translation_ids": wanted})


def translation_scores(translated: Sequence[str], pairs: Sequence[Pair], split: str) -> tuple[Metric, ...]:
    """Returns BLEU (Papineni et al. 2002) and chrF (Popović 2015) of all translations, then of each kind of pair.

    Both are sacrebleu's, with its defaults: of a corpus, 0 to 100.
    """
    metrics = []
    for kind in ("", *sorted({pair.kind for pair in pairs}, reverse=True)):
        rows = [(given, pair.translation) for given, pair in zip(translated, pairs, strict=True) if kind in pair.kind]
        given, right = zip(*rows, strict=True)
        for name, score in ((BLEU, sacrebleu.corpus_bleu), (CHRF, sacrebleu.corpus_chrf)):
            name += f", {kind}s" if kind else ""
            metrics.append(Metric(name=name, value=round(score(given, [right]).score, 2), unit="", split=split))
    return tuple(metrics)


def _longer(example: Example) -> int:
    """Returns the length of a text or of its translation with its end, whichever is longer."""
    return max(len(example), len(example.targets["translation_ids"]))
