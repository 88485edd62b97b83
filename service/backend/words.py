"""Remembers what a model makes of each word by itself.

Most words of a text have been met before; reading their characters again, and multiplying by the input weights, would
cost more than the rest of the step.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import tensorflow as tf

from service.artifact import Endpoint
from service.engine.padding import Tensors

SIZES = (8, 64, 512)  # words that are read in one step: the shapes that are compiled
REMEMBERED_WORDS = 16_384  # each takes 8 kB in a tagger of 256 units per direction


class WordMemory:
    """A bounded table on the device, with a row for each word that was met.

    Attributes:
        table: the rows  # [W, G] float32.
    """

    def __init__(self, project: Callable[..., dict[str, Any]], endpoint: Endpoint) -> None:
        """`project` computes `endpoint`: inputs [W] or [W, n] int32 -> projected  # [W, G] float32."""
        self._widths = {name: spec.axes[1] if spec.axes[1:] else 1 for name, spec in endpoint.inputs.items()}
        self._places: dict[bytes, int] = {}
        size = endpoint.outputs["projected"].axes[1]
        self.table = tf.Variable(tf.zeros([REMEMBERED_WORDS, size]), trainable=False)

        def read(cells: Any) -> Any:
            columns = zip(endpoint.inputs.items(), tf.split(cells, list(self._widths.values()), axis=1), strict=True)
            inputs = {name: column if spec.axes[1:] else column[:, 0] for (name, spec), column in columns}
            return project(**inputs)["projected"]

        cells = tf.TensorSpec([None, sum(cast(list[int], list(self._widths.values())))], tf.int32)
        self._read = tf.function(read, jit_compile=True, autograph=False).get_concrete_function(cells)
        self._cell_width = cells.shape[1]

    def prepare(self, inputs: Tensors) -> Tensors:
        """Puts the places of words in the table  # places [B, T] int32, for what `project` reads of them."""
        parts = [inputs[name] for name in self._widths]
        b, t = parts[0].shape[:2]
        cells = np.concatenate([part.reshape(b * t, -1) for part in parts], axis=1)  # [B * T, all inputs]
        words = cast(list[bytes], cells.view(np.dtype((np.void, cells.itemsize * cells.shape[1]))).ravel().tolist())
        if missing := set(words).difference(self._places):
            self._learn(missing, set(words))
        places = np.array([self._places[word] for word in words], np.int32).reshape(b, t)
        return {name: values for name, values in inputs.items() if name not in self._widths} | {"places": places}

    def warm_up(self) -> None:
        """Reads words in each of the sizes."""
        for size in SIZES:
            self._read(tf.zeros([size, self._cell_width], tf.int32))

    def _learn(self, missing: set[bytes], wanted: set[bytes]) -> None:
        if len(self._places) + len(missing) > REMEMBERED_WORDS:  # starts anew: as simple as it is rare
            self._places.clear()
            missing = wanted
        words = sorted(missing)
        for start in range(0, len(words), SIZES[-1]):
            some = words[start : start + SIZES[-1]]
            cells = np.zeros((next(size for size in SIZES if size >= len(some)), self._cell_width), np.int32)
            cells[: len(some)] = np.frombuffer(b"".join(some), np.int32).reshape(len(some), -1)
            first = len(self._places)
            rows = self._read(tf.constant(cells))[: len(some)]
            # Assigning to a slice would copy the table, a hundred times as slow as this.
            self.table.scatter_update(tf.IndexedSlices(rows, tf.range(first, first + len(some))))
            self._places.update((word, first + i) for i, word in enumerate(some))
