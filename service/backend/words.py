"""Caches a model's projection of each word.

Most words of a text have been seen before; projecting them again would cost more than the rest of the step.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import numpy as np
import tensorflow as tf

from service.artifact.manifest import Endpoint
from service.backend.compiling import compiled
from service.errors import ConfigurationError
from service.types import Tensors

WORDS_PER_CALL = 8  # words projected per call: a fixed number, so that a word's row is always the same to the bit
CACHED_WORDS = 16_384  # 2 kB each in a tagger of 256 units per direction whose products are integers


class WordCache:
    """A bounded table on the device with a row per word.

    Attributes:
        tables: the rows of each output of the projection, by its name  # [W, …].
    """

    def __init__(self, project: Callable[..., dict[str, Any]], endpoint: Endpoint) -> None:
        """`project` computes `endpoint`: inputs [W] or [W, n] int32 -> outputs, each [W, n]."""
        self._widths = {name: spec.axes[1] if spec.axes[1:] else 1 for name, spec in endpoint.inputs.items()}
        self._rows: dict[bytes, int] = {}
        self.tables = empty_tables(endpoint, {"W": CACHED_WORDS + WORDS_PER_CALL})

        def read(cells: Any) -> dict[str, Any]:
            columns = zip(endpoint.inputs.items(), tf.split(cells, list(self._widths.values()), axis=1), strict=True)
            inputs = {name: column if spec.axes[1:] else column[:, 0] for (name, spec), column in columns}
            return project(**inputs)

        self._cells = tf.TensorSpec([WORDS_PER_CALL, sum(cast(list[int], list(self._widths.values())))], tf.int32)
        self._read = compiled(read, self._cells)

    def prepare(self, inputs: Tensors) -> Tensors:
        """Adds the rows of new words to the table; returns the indices of all  # rows [B, T] int32."""
        parts = [inputs[name] for name in self._widths]
        b, t = parts[0].shape[:2]
        cells = np.concatenate([part.reshape(b * t, -1) for part in parts], axis=1)  # [B * T, all inputs]
        words = cast(list[bytes], cells.view(np.dtype((np.void, cells.itemsize * cells.shape[1]))).ravel().tolist())
        if missing := set(words).difference(self._rows):
            self._add(missing, set(words))
        rows = np.array([self._rows[word] for word in words], np.int32).reshape(b, t)
        return {name: values for name, values in inputs.items() if name not in self._widths} | {"rows": rows}

    def check_batch(self, words: int) -> None:
        """Raises ConfigurationError if a batch may have more distinct words than the table holds."""
        if words > CACHED_WORDS:
            raise ConfigurationError(
                f"batches of up to {words} words do not fit the {CACHED_WORDS} kept on the device: "
                "lower TAGWERK_BATCH_SIZES"
            )

    def warm_up(self) -> None:
        """Compiles the projection."""
        self._read(tf.zeros(self._cells.shape, self._cells.dtype))

    def _add(self, missing: set[bytes], wanted: set[bytes]) -> None:
        if len(self._rows) + len(missing) > CACHED_WORDS:  # clears the table, which is rare
            self._rows.clear()
            missing = wanted
        words = sorted(missing)
        for start in range(0, len(words), WORDS_PER_CALL):
            some = words[start : start + WORDS_PER_CALL]
            cells = np.zeros(self._cells.shape, np.int32)
            cells[: len(some)] = np.frombuffer(b"".join(some), np.int32).reshape(len(some), -1)
            first = len(self._rows)
            # Also writes the filler's rows, which the next words overwrite: cutting them off takes another operation.
            places = np.arange(first, first + WORDS_PER_CALL, dtype=np.int32)
            # Assigning to a slice would copy the table, which takes a hundred times as long.
            for name, new in self._read(tf.constant(cells)).items():
                self.tables[name].scatter_update(tf.IndexedSlices(new, tf.constant(places)))
            self._rows.update((word, first + i) for i, word in enumerate(some))


def empty_tables(endpoint: Endpoint, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Returns a variable for each output of an endpoint, without values; `sizes` are those of axes with names."""
    tables = {}
    for name, spec in endpoint.outputs.items():
        shape = [axis if isinstance(axis, int) else sizes[axis] for axis in spec.axes]
        # Memory of rows that are not used yet is not allocated by the system.
        tables[name] = tf.Variable(tf.raw_ops.Empty(shape=shape, dtype=spec.dtype, init=False), trainable=False)
    return tables
