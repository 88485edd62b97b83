"""The tagger as all peers with dynamic batching run it: as fast as TensorFlow runs this SavedModel.

XLA compiles each shape of a closed grid; what a batcher gives is cut into its shapes by step times that are measured at
warm-up. Words are spelt once, as in the service: the SavedModel offers its two parts as endpoints of their own.
"""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any, cast

import numpy as np
import tensorflow as tf

from loadtests.peers.cuts import Cuts, Shape
from loadtests.peers.texts import version_for
from service.artifact import SAVED_MODEL
from service.engine.padding import Array, Grid, Tensors, pad, unpad
from service.settings import load_settings

SPELT_AT_ONCE = 64  # words
REMEMBERED_WORDS = 65_536
TIMED_RUNS = 5


class Model:
    """The SavedModel in XLA's executables. The best labels and their probabilities are taken in the step."""

    def __init__(self) -> None:
        """Compiles and times all shapes, which takes a minute."""
        settings, version = load_settings(), version_for("tag")
        tf.config.threading.set_intra_op_parallelism_threads(settings.device_threads)
        self._loaded = tf.saved_model.load(str(version.folder / SAVED_MODEL))  # owns the variables
        self._endpoints = version.manifest.endpoints
        heads = tuple(self._endpoints["tag"].outputs)
        self._timed = frozenset(f"{head}_{part}" for head in heads for part in ("id", "probability"))
        self._step, self._spell = self._compiled("tag_spelled", heads), self._compiled("spell", ())
        self._places: dict[bytes, int] = {}  # of words in the table of spellings
        size = int(self._endpoints["spell"].outputs["spellings"].axes[1])
        self._table = np.zeros((REMEMBERED_WORDS, size), np.float32)
        grid = Grid(settings.batch_sizes, settings.length_buckets)
        self._cut = Cuts(grid, {shape: self._measure(shape) for shape in grid.shapes})

    def __call__(self, examples: Sequence[Tensors]) -> list[Tensors]:
        """Runs sequences, each word_ids [T] and char_ids [T, C]; returns their outputs in the same order, each [T]."""
        outputs: list[Tensors] = [{}] * len(examples)
        for places, shape in self._cut([len(example["word_ids"]) for example in examples]):
            for place, output in zip(places, self._run([examples[p] for p in places], shape), strict=True):
                outputs[place] = output
        return outputs

    def _run(self, examples: Sequence[Tensors], shape: Shape) -> list[dict[str, Array]]:
        batch = pad(examples, self._endpoints["tag"].inputs, shape)
        inputs = {name: values for name, values in batch.inputs.items() if name != "char_ids"}
        inputs["spellings"] = self._spellings(batch.inputs["char_ids"])
        outputs = self._step(**{name: tf.constant(values) for name, values in inputs.items()})
        return unpad({name: values.numpy() for name, values in outputs.items()}, batch, self._timed)

    def _spellings(self, char_ids: Array) -> Array:
        """Returns the spellings of the words  # char_ids [B, T, C] int32 -> [B, T, S] float32."""
        b, t, c = char_ids.shape
        words = cast(list[bytes], char_ids.view(np.dtype((np.void, char_ids.itemsize * c))).ravel().tolist())
        if missing := list(set(words).difference(self._places)):
            if len(self._places) + len(missing) > REMEMBERED_WORDS:
                self._places.clear()
                missing = list(set(words))
            for start in range(0, len(missing), SPELT_AT_ONCE):
                self._learn(missing[start : start + SPELT_AT_ONCE])
        return self._table[[self._places[word] for word in words]].reshape(b, t, -1)

    def _learn(self, words: Sequence[bytes]) -> None:
        rows = np.frombuffer(b"".join(words), np.int32).reshape(len(words), -1)
        char_ids = np.pad(rows, ((0, SPELT_AT_ONCE - len(words)), (0, 0)))
        first = len(self._places)
        self._table[first : first + len(words)] = self._spell(char_ids=tf.constant(char_ids))["spellings"][: len(words)]
        self._places.update((word, first + number) for number, word in enumerate(words))

    def _compiled(self, endpoint: str, heads: Sequence[str]) -> Any:
        """Returns an endpoint as a function that XLA compiles once for each shape."""
        signature = self._loaded.signatures[endpoint]

        def step(**inputs: Any) -> dict[str, Any]:
            outputs = dict(signature(**inputs))
            for head in heads:
                probabilities = outputs.pop(head)  # [B, T, K]
                outputs[f"{head}_id"] = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
                outputs[f"{head}_probability"] = tf.reduce_max(probabilities, axis=-1)
            return outputs

        specs = {
            name: tf.TensorSpec([axis if isinstance(axis, int) else None for axis in spec.axes], spec.dtype, name)
            for name, spec in self._endpoints[endpoint].inputs.items()
        }
        return tf.function(step, jit_compile=True).get_concrete_function(**specs)

    def _measure(self, shape: Shape) -> float:
        """Compiles a shape; returns the seconds that a batch of it takes."""
        self._run([], shape)
        seconds = []
        for _ in range(TIMED_RUNS):
            began = time.perf_counter()
            self._run([], shape)
            seconds.append(time.perf_counter() - began)
        return median(seconds)
