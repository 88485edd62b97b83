"""A model as all peers with dynamic batching run it: XLA's executables, one for each batch size.

What a batcher gives is cut into batches by step times that are measured at warm-up. A tagger reads the words of each
batch anew, each word once; `PEER_WORDS=1` gives a peer the service's memory of words, which no SavedModel has. A
classifier's words are rows of a table that is a part of the model, so there is nothing to remember.
"""

import os
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np

from loadtests.peers.cuts import Cuts, Shape
from loadtests.peers.texts import grid_for, version_for
from service.artifact.manifest import ModelVersion
from service.backend.cache import ExecutableCache
from service.engine.scheduler import Grid
from service.settings import load_settings
from service.types import Array, Ragged, Tensors, pad

TIMED_RUNS = 5
DISTINCT = 0.7  # of the words of a batch, where step times are measured
WORDS_A_ROW = (8, 12, 16, 32)  # distinct words of a batch, per row: sizes that a tagger's step is compiled for


class Model:
    """The tagger or classifier in XLA's executables. A tagger's best labels are taken in the step."""

    def __init__(self, task: str) -> None:
        """Compiles all shapes and times some, which takes half a minute where no executables are kept."""
        settings, version = load_settings(), version_for(task)
        cache = Path(settings.xla_cache) if settings.xla_cache else None
        if cache:
            ExecutableCache(cache).configure()
        from service.backend.saved_model import TensorFlowBackend  # TensorFlow reads the cache's place as it is loaded

        self._inputs = version.manifest.endpoint.inputs
        grid = grid_for(version)
        backend = TensorFlowBackend(settings.device)
        model = backend.load_sequence_model(version.folder, version.manifest)
        self._timed = model.timed_outputs
        with ExecutableCache(cache).first_free({version.key: version.manifest.graph}, lambda: False):
            if task == "tag" and not os.environ.get("PEER_WORDS"):
                self._step = Reading(version, grid).run
            else:
                for _ in model.warm_up(grid.batch_sizes, grid.capacity):
                    pass
                self._step = lambda inputs: model.start(inputs)()
        self._cut = Cuts(grid, self._seconds(grid))

    def __call__(self, examples: Sequence[Tensors]) -> list[Tensors]:
        """Runs sequences, each word_ids [T] and what else the model reads; returns their outputs in the same order."""
        outputs: list[Tensors] = [{}] * len(examples)
        for places, shape in self._cut([len(example["word_ids"]) for example in examples]):
            sequences = Ragged.of([examples[place] for place in places])
            ends = np.cumsum(sequences.lengths)
            rows: dict[str, Any] = self._step(pad(sequences, shape))
            for name in self._timed & rows.keys():
                rows[name] = np.split(rows[name], ends)
            for row, place in enumerate(places):
                outputs[place] = {name: values[row] for name, values in rows.items()}
        return outputs

    def _seconds(self, grid: Grid) -> dict[Shape, float]:
        """Returns what a batch of each shape takes: two lengths are measured, and the time is linear in the length."""
        short, long = grid.lengths[len(grid.lengths) // 4], grid.lengths[3 * len(grid.lengths) // 4]
        found: dict[Shape, float] = {}
        for size in grid.batch_sizes:
            less, more = (self._measured(size, length) for length in (short, long))
            slope = max(0.0, more - less) / (long - short)
            found |= {(size, length): max(1e-6, less + slope * (length - short)) for length in grid.lengths}
        return found

    def _measured(self, size: int, length: int) -> float:
        """Returns the seconds that full rows of a length take."""
        words = max(1, int(DISTINCT * size * length))
        numbers = np.resize(np.arange(words, dtype=np.int32), size * length).reshape(size, length)
        example = {
            name: np.broadcast_to(
                numbers[(..., *[None] * (len(spec.axes) - 2))],
                (size, length, *(n for n in spec.axes[2:] if isinstance(n, int))),
            )
            for name, spec in self._inputs.items()
            if name != "lengths"
        }
        inputs = {**example, "lengths": np.full(size, length, np.int32)}
        seconds = []
        for _ in range(TIMED_RUNS):
            began = time.perf_counter()
            self._step(inputs)
            seconds.append(time.perf_counter() - began)
        return median(seconds)


class Reading:
    """A tagger's step that reads the distinct words of its batch, and looks each up as its loop comes to it.

    That is faster than the endpoint that reads the words one by one, 3.7 against 4.0 ms for four rows of 15 words,
    and has an executable for each batch size and number of words, in place of one for each length.
    """

    def __init__(self, version: ModelVersion, grid: Grid) -> None:
        """Compiles the step in all sizes."""
        import tensorflow as tf

        from service.artifact.manifest import SAVED_MODEL
        from service.backend.compiling import on_all_cores

        self._capacity = grid.capacity
        self._loaded = tf.saved_model.load(str(version.folder / SAVED_MODEL))  # owns the variables
        manifest, signatures = version.manifest, self._loaded.signatures
        project, step = signatures["project"], signatures[f"{manifest.endpoint_name}_from_table"]
        specs = manifest.endpoints["project"].inputs
        widths = [cast(int, spec.axes[1]) if spec.axes[1:] else 1 for spec in specs.values()]
        self._names = list(specs)

        def compute(cells: Any, rows: Any, lengths: Any) -> dict[str, Any]:
            columns = zip(specs.items(), tf.split(cells, widths, axis=1), strict=True)
            words = {name: column if spec.axes[1:] else column[:, 0] for (name, spec), column in columns}
            tables = {"table" if name == "projected" else name: rows_ for name, rows_ in project(**words).items()}
            outputs = step(**tables, rows=rows, lengths=lengths)
            return {name: value for name, value in outputs.items() if name != "outputs"}

        self._width = sum(widths)
        self._compiled = tf.function(compute, jit_compile=True, autograph=False).get_concrete_function(
            tf.TensorSpec([None, self._width], tf.int32),  # cells [W, C]
            tf.TensorSpec([None, None], tf.int32),  # rows [B, capacity]
            tf.TensorSpec([None], tf.int32),  # lengths [B]
        )
        self._constant = tf.constant
        self._sizes = {b: (*(b * each for each in WORDS_A_ROW), b * grid.capacity) for b in grid.batch_sizes}

        def compile_one(shape: Shape) -> None:
            b, words = shape
            self._compute(np.zeros((words, self._width), np.int32), np.zeros((b, 1), np.int32), np.ones(b, np.int32))

        shapes = [(b, words) for b, sizes in self._sizes.items() for words in sizes]
        for _ in on_all_cores([partial(compile_one, shape) for shape in shapes]):
            pass

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs a batch: the endpoint's inputs, padded  # [B, T, ...] -> its outputs  # [positions]."""
        parts = [inputs[name] for name in self._names]
        b, t = parts[0].shape[:2]
        cells = np.concatenate([part.reshape(b * t, -1) for part in parts], axis=1)  # [B * T, C]
        keys = cells.view(np.dtype((np.void, cells.itemsize * self._width))).ravel()
        words, rows = np.unique(keys, return_inverse=True)
        read = np.zeros((next(size for size in self._sizes[b] if size >= len(words)), self._width), np.int32)
        read[: len(words)] = words.view(np.int32).reshape(len(words), -1)
        return self._compute(read, rows.reshape(b, t), inputs["lengths"])

    def _compute(self, cells: Array, rows: Array, lengths: Array) -> dict[str, Array]:
        wide = np.zeros((len(rows), self._capacity), np.int32)
        wide[:, : rows.shape[1]] = rows
        outputs = self._compiled(self._constant(cells), self._constant(wide), self._constant(lengths))
        return {name: value.numpy() for name, value in outputs.items()}
