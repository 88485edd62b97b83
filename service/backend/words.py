"""Caches a model's projection of each word.

Most words of a text have been seen before; projecting them again would cost more than the rest of the step.
"""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import tensorflow as tf

from service.artifact.manifest import Endpoint
from service.backend.compiling import compiled
from service.errors import ConfigurationError
from service.types import Tensors

AT_ONCE = 16  # words projected per call: a fixed number, so that a word's row is always the same to the bit
REMEMBERED_WORDS = 16_384  # 8 kB each in a tagger of 256 units per direction


class WordMemory:
    """A bounded table on the device with a row per word.

    Attributes:
        table: the rows  # [W, G] float32.
    """

    def __init__(self, project: Callable[..., dict[str, Any]], endpoint: Endpoint) -> None:
        """`project` computes `endpoint`: inputs [W] or [W, n] int32 -> projected  # [W, G] float32."""
        self._widths = {name: spec.axes[1] if spec.axes[1:] else 1 for name, spec in endpoint.inputs.items()}
        self._places: dict[bytes, int] = {}
        size = endpoint.outputs["projected"].axes[1]
        # Memory of rows that are not used yet is not allocated by the system.
        empty = tf.raw_ops.Empty(shape=[REMEMBERED_WORDS, size], dtype=tf.float32, init=False)
        self.table = tf.Variable(empty, trainable=False)

        def read(cells: Any) -> Any:
            columns = zip(endpoint.inputs.items(), tf.split(cells, list(self._widths.values()), axis=1), strict=True)
            inputs = {name: column if spec.axes[1:] else column[:, 0] for (name, spec), column in columns}
            return project(**inputs)["projected"]

        self._cells = tf.TensorSpec([AT_ONCE, sum(cast(list[int], list(self._widths.values())))], tf.int32)
        self._read = compiled(read, self._cells)

    def prepare(self, inputs: Tensors) -> Tensors:
        """Ensures that the table has the rows of all words; returns their indices  # rows [B, T] int32."""
        parts = [inputs[name] for name in self._widths]
        b, t = parts[0].shape[:2]
        cells = np.concatenate([part.reshape(b * t, -1) for part in parts], axis=1)  # [B * T, all inputs]
        words = cast(list[bytes], cells.view(np.dtype((np.void, cells.itemsize * cells.shape[1]))).ravel().tolist())
        if missing := set(words).difference(self._places):
            self._learn(missing, set(words))
        rows = np.array([self._places[word] for word in words], np.int32).reshape(b, t)
        return {name: values for name, values in inputs.items() if name not in self._widths} | {"rows": rows}

    def check_batch(self, words: int) -> None:
        """Raises ConfigurationError if a batch may have more distinct words than the table holds."""
        if words > REMEMBERED_WORDS:
            raise ConfigurationError(
                f"batches of up to {words} words do not fit the {REMEMBERED_WORDS} kept on the device: "
                "lower TAGWERK_BATCH_SIZES"
            )

    def warm_up(self) -> None:
        """Compiles the projection."""
        self._read(tf.zeros(self._cells.shape, self._cells.dtype))

    def _learn(self, missing: set[bytes], wanted: set[bytes]) -> None:
        if len(self._places) + len(missing) > REMEMBERED_WORDS:  # clears the table, which is rare
            self._places.clear()
            missing = wanted
        words = sorted(missing)
        for start in range(0, len(words), AT_ONCE):
            some = words[start : start + AT_ONCE]
            cells = np.zeros(self._cells.shape, np.int32)
            cells[: len(some)] = np.frombuffer(b"".join(some), np.int32).reshape(len(some), -1)
            first = len(self._places)
            rows = self._read(tf.constant(cells))[: len(some)]
            # Assigning to a slice would copy the table, which takes a hundred times as long.
            self.table.scatter_update(tf.IndexedSlices(rows, tf.range(first, first + len(some))))
            self._places.update((word, first + i) for i, word in enumerate(some))
