"""Captions of scenes of handwritten digits."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import zip_longest

import keras
import numpy as np
from keras import ops

from service.artifact.manifest import Endpoint, Metric
from service.text.vocabulary import PAD, RESERVED, Vocabulary
from training.cells import Tensor
from training.course.data.digit_scenes import LONGEST, SIZE, WORDS, Scene, Scenes
from training.course.models.captioner import Captioner, CaptionerSizes
from training.data.dataset import IGNORED, Array, Batches, Example, collate
from training.metrics.scores import percent, percentages
from training.tasks.base import Predict, Recipe, State, Task
from training.tasks.endpoints import Tensors, floats, ints

POOL = 10_000_000  # scenes that the train split draws from: hardly any comes twice
DEV, TEST = 1000, 3000  # scenes
EVALUATION_SCENES = 200  # in a batch
EXACT = "exact captions"


@dataclass(frozen=True, kw_only=True)
class CaptioningRecipe(Recipe):
    """Settings of a captioner. A batch has `batch_tokens / 12` scenes: the longest caption has 11 words and an end.

    Attributes:
        scenes: of an epoch, which are drawn anew each time.
    """

    scenes: int
    sizes: CaptionerSizes = field(default_factory=CaptionerSizes)

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Captioning":
        splits: dict[str, Scenes | list[Scene]] = {
            "train": Scenes("train", self.limit or POOL),
            "dev": list(Scenes("dev", DEV)),
            "test": list(Scenes("test", TEST)),
        }
        return Captioning(self, splits)


class Captioning(Task):
    """Captions of scenes, by an encoder of images and a decoder of words.

    Args:
        splits: the scenes of train, dev and test.
    """

    endpoint_name = "caption"
    chosen_by = EXACT

    def __init__(self, recipe: CaptioningRecipe, splits: Mapping[str, Scenes | list[Scene]]) -> None:
        self.recipe: CaptioningRecipe = recipe
        self.splits = splits
        self.words = Vocabulary(WORDS)
        self.labels = {}
        self.endpoint = Endpoint(
            inputs={"image": floats("B", SIZE, SIZE)}, outputs={"word_ids": ints("B", LONGEST + 1)}
        )

    def network(self) -> keras.Model:
        return Captioner(len(self.words), SIZE, LONGEST, self.recipe.sizes)

    def train_batches(self, rng: np.random.Generator) -> Batches:
        scenes = self.splits["train"]
        rows = max(1, self.recipe.batch_tokens // (LONGEST + 1))
        chosen = rng.integers(len(scenes), size=(self.recipe.scenes // rows, rows))
        return Batches(chosen.tolist(), lambda numbers: collate([self._example(scenes[i]) for i in numbers]))

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        wanted = targets["word_ids"]
        valid = ops.cast(wanted != IGNORED, "float32")  # [B, L]
        logits = model(**inputs, training=True)
        losses = ops.sparse_categorical_crossentropy(ops.maximum(wanted, PAD), logits, from_logits=True)
        return ops.sum(losses * valid) / ops.sum(valid), state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        return {"word_ids": model.caption(**inputs)}

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        """Measures the share of captions that are exactly right, of all and by the number of digits, and of words.

        A word is right if the generated caption has it at the same place; captions are compared up to the longer's end.
        """
        scenes = list(self.splits[split])
        captions: list[tuple[str, ...]] = []
        for start in range(0, len(scenes), EVALUATION_SCENES):
            images = np.stack([scene.image for scene in scenes[start : start + EVALUATION_SCENES]])
            captions += map(self.caption, predict({"image": images})["word_ids"])
        pairs = [(caption, scene.caption) for caption, scene in zip(captions, scenes, strict=True)]
        exact = np.array([one == other for one, other in pairs])
        words = np.array([one == other for pair in pairs for one, other in zip_longest(*pair)])
        digits = np.array([len(scene.digits) for scene in scenes])
        figures = {EXACT: exact, "words": words}
        figures |= {f"{EXACT}, digits: {n}": exact[digits == n] for n in np.unique(digits)}
        return percentages({name: percent(part) for name, part in figures.items()}, split)

    def caption(self, ids: Array) -> tuple[str, ...]:
        """Returns the words of a generated caption, up to its end. ids: int32, shape [L]."""
        end = next((i for i, id in enumerate(ids) if id == PAD), len(ids))
        return tuple("?" if id < len(RESERVED) else self.words.string(int(id)) for id in ids[:end])

    def _example(self, scene: Scene) -> Example:
        ids = np.array(self.words.ids(scene.caption), np.int32)
        inputs = {"before": np.pad(ids, (1, 0), constant_values=PAD), "image": scene.image}
        return Example(scene.caption, inputs, {"word_ids": np.pad(ids, (0, 1), constant_values=PAD)})
