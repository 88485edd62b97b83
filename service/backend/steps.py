"""Builds the step to compile from a model's endpoints, with its table of words and the layout of its inputs.

The first layer multiplies each word's features by its input weights; the product does not depend on the word's
position. So two endpoints of a model run, `project` and the rest: these products are in a table on the device, where
the step looks them up:

- if `project` has no inputs, the table holds the rows of a whole vocabulary, computed while the step is compiled, once
  for a processor type: see `ExecutableCache.tables`;
- if it reads words, such as a tagger's characters, the table caches the words seen so far: most words of a text have
  been seen before, and projecting them again would cost more than the rest of the step.

The rest, such as `tag_from_table`, looks up within its loop, which ends at the longest sequence of the batch: one
executable of the shape [B, capacity] serves every length.

The inputs of a step are packed into one array, since the cost of a call grows with its number of arrays.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, cast

import numpy as np
import tensorflow as tf

from service.artifact.manifest import Endpoint, Manifest, TensorSpec
from service.backend.compiling import Compiler, DeviceErrors
from service.backend.graphs import Signature
from service.backend.tensorflow_private import TracedFunction
from service.errors import ConfigurationError
from service.types import Array, Tensors

PROJECT = "project"  # the endpoint that computes rows of the table
LOGITS = "logits"  # the endpoint of a tagger that computes the logits of all labels from outputs of the step
EXPLAIN = "explain"  # the endpoint of a classifier that computes explanations
# Words projected per call: fixed numbers, so that a word's row is always the same to the bit. A call for many takes two
# to three times as long as one for few, so up to twice as many words as few are read in calls for few.
FEW_WORDS, MANY_WORDS = 8, 32
CACHED_WORDS = 16_384  # 2 kB each in a tagger of 256 units per direction whose products are integers
CELL = np.dtype(np.int32)
Axes = tuple[str | int, ...]


class Packing:
    """The layout of inputs in 32-bit cells, one row per sequence.

    Attributes:
        width: cells per row, W.
    """

    def __init__(self, inputs: Mapping[str, tuple[str, Axes]], capacity: int) -> None:
        """`inputs` have a type, and axes [B, ...], in which T is replaced by the capacity."""
        self._fields: dict[str, tuple[np.dtype[Any], tuple[int, ...], slice]] = {}
        self.width = 0
        for name, (kind, axes) in inputs.items():
            shape = tuple(axis if isinstance(axis, int) else capacity for axis in axes[1:])
            dtype = np.dtype(kind)
            cells = prod(shape) * max(dtype.itemsize // CELL.itemsize, 1)
            self._fields[name] = dtype, shape, slice(self.width, self.width + cells)
            self.width += cells

    def pack(self, inputs: Tensors) -> Array:
        """Packs the inputs, each [B, ...] with T up to the capacity  # [B, W] int32, 0 after T."""
        cells = np.zeros((len(next(iter(inputs.values()))), self.width), CELL)
        for name, (dtype, _, columns) in self._fields.items():
            values = inputs[name].reshape(len(cells), -1)
            cells[:, columns].view(CELL if dtype == np.bool_ else dtype)[:, : values.shape[1]] = values
        return cells

    def unpack(self, cells: Any) -> dict[str, Any]:
        """Unpacks cells [B, W] int32 to the inputs, T the capacity; to be traced."""
        inputs = {}
        for name, (dtype, shape, columns) in self._fields.items():
            values = cells[:, columns]
            if dtype.itemsize > CELL.itemsize:
                values = tf.reshape(values, (-1, prod(shape), dtype.itemsize // CELL.itemsize))
            values = tf.cast(values, tf.bool) if dtype == np.bool_ else tf.bitcast(values, dtype)
            inputs[name] = tf.reshape(values, (-1, *shape))
        return inputs


class WordCache:
    """A bounded table on the device with a row per word.

    Attributes:
        tables: the rows of each output of the projection, by its name  # [W, …].
    """

    def __init__(self, compiler: Compiler, project: Callable[..., dict[str, Any]], endpoint: Endpoint) -> None:
        """`project` computes `endpoint`: inputs [W] or [W, n] int32 -> outputs, each [W, n]."""
        self._widths = {name: spec.axes[1] if spec.axes[1:] else 1 for name, spec in endpoint.inputs.items()}
        self._rows: dict[bytes, int] = {}
        self._compiler = compiler
        self.tables = empty_tables(endpoint, {"W": CACHED_WORDS + MANY_WORDS})
        self._reads: dict[int, TracedFunction] = {}  # by the number of words
        self._most = FEW_WORDS  # words of a call, where there are more than a few

        def read(cells: Any) -> dict[str, Any]:
            columns = zip(endpoint.inputs.items(), tf.split(cells, list(self._widths.values()), axis=1), strict=True)
            inputs = {name: column if spec.axes[1:] else column[:, 0] for (name, spec), column in columns}
            return project(**inputs)

        self._cells_of_word = sum(cast(list[int], list(self._widths.values())))
        self._traced = compiler.trace("read", read, tf.TensorSpec([None, self._cells_of_word], tf.int32))

    def prepare(self, inputs: Tensors) -> Tensors:
        """Adds the rows of new words to the table; returns the indices of all  # rows [B, T] int32."""
        columns = [inputs[name] for name in self._widths]
        b, t = columns[0].shape[:2]
        cells = np.concatenate([column.reshape(b * t, -1) for column in columns], axis=1)  # [B * T, all inputs]
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
        """Compiles the projection of few words, and of many; that is used if a word's row is the same in both."""
        some = np.random.default_rng(0).integers(0, 9, (MANY_WORDS, self._cells_of_word), np.int32)
        for size in (FEW_WORDS, MANY_WORDS):
            self._reads[size] = self._compiler.compile(self._traced, tf.constant(some[:size]))
        few, many = (self._project(some, size) for size in (FEW_WORDS, MANY_WORDS))
        same = all(rows.numpy().tobytes() == many[name].numpy().tobytes() for name, rows in few.items())
        self._most = MANY_WORDS if same else FEW_WORDS

    def _project(self, cells: Array, most: int) -> dict[str, Any]:
        """Returns the rows of words [n, cells], then those of the last call's filler. most: words of a large call."""
        calls, start = [], 0
        while (left := len(cells) - start) > 0:
            size = most if left > 2 * FEW_WORDS else FEW_WORDS
            chunk = np.zeros((size, self._cells_of_word), np.int32)
            chunk[:left] = cells[start : start + size]
            calls.append(self._read(chunk))
            start += size
        return calls[0] if len(calls) == 1 else {k: tf.concat([rows[k] for rows in calls], axis=0) for k in calls[0]}

    def _read(self, cells: Array) -> dict[str, Any]:
        return self._reads[len(cells)](tf.constant(cells))

    def _add(self, missing: set[bytes], wanted: set[bytes]) -> None:
        if len(self._rows) + len(missing) > CACHED_WORDS:  # clears the table, which is rare
            self._rows.clear()
            missing = wanted
        words, first = sorted(missing), len(self._rows)
        cells = np.frombuffer(b"".join(words), np.int32).reshape(len(words), -1)
        found = self._project(cells, self._most)
        # Also writes the filler's rows, which the next words overwrite: cutting them off takes another operation.
        places = tf.constant(np.arange(first, first + len(next(iter(found.values()))), dtype=np.int32))
        for name, table in self.tables.items():
            # Assigning to a slice would copy the table, which takes a hundred times as long.
            table.scatter_update(tf.IndexedSlices(found[name], places))
        self._rows.update((word, first + i) for i, word in enumerate(words))


def empty_tables(endpoint: Endpoint, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Returns a variable for each output of an endpoint, without values; `sizes` are those of axes with names."""
    tables = {}
    for name, spec in endpoint.outputs.items():
        shape = [axis if isinstance(axis, int) else sizes[axis] for axis in spec.axes]
        # Memory of rows that are not used yet is not allocated by the system.
        tables[name] = tf.Variable(tf.raw_ops.Empty(shape=shape, dtype=spec.dtype, init=False), trainable=False)
    return tables


@dataclass(frozen=True)
class Step:
    """A function to compile, from tensors by name to tensors by name, and the cache that makes some of its inputs.

    Attributes:
        inputs, outputs: of `compute`.
        fill: computes the table of a whole vocabulary. Raises DeviceFailed.
        cache: replaces the words of the endpoint's inputs by the rows of its table, for `compute`.
        further: the endpoint that computes outputs on request, if there is one, from those of `outputs` that are in
            `read`, and `inputs`.
    """

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]
    compute: Signature
    fill: Callable[[], None]
    cache: WordCache | None = None
    further: Signature | None = None
    read: frozenset[str] = frozenset()


def make_step(compiler: Compiler, manifest: Manifest, signatures: Mapping[str, Signature]) -> Step:
    """Returns the step of a model's endpoint; its table is on the device."""
    name = f"{manifest.endpoint_name}_from_table"
    project, endpoint, run = manifest.endpoints[PROJECT], manifest.endpoints[name], signatures[name]
    names = {"projected": "table"}  # of an output of the projection as an input of the step
    inputs = {key: spec for key, spec in endpoint.inputs.items() if key not in ("table", *project.outputs)}
    with tf.device(compiler.device):
        cache = WordCache(compiler, signatures[PROJECT], project) if project.inputs else None
        tables = empty_tables(project, {}) if cache is None else cache.tables

    def with_tables(run: Signature, reads: Endpoint) -> Signature:
        """Returns a function that reads the tables, where the endpoint does."""
        read = {key: table for name, table in tables.items() if (key := names.get(name, name)) in reads.inputs}
        return lambda **given: run(**{name: tf.convert_to_tensor(table) for name, table in read.items()}, **given)

    def fill() -> None:
        if cache is None:
            with tf.device(compiler.device), DeviceErrors():
                for name, values in signatures[PROJECT]().items():
                    tables[name].assign(values)

    step = Step(inputs, endpoint.outputs, with_tables(run, endpoint), fill, cache)
    for name in manifest.endpoints.keys() & {LOGITS, EXPLAIN}:
        further = manifest.endpoints[name]
        read = frozenset(further.inputs.keys() & endpoint.outputs.keys())
        step = replace(step, further=with_tables(signatures[name], further), read=read)
    return step
