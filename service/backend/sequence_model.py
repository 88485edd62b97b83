"""Taggers and classifiers: one step per batch size, compiled by XLA."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from service.artifact.manifest import CANDIDATES, POSITIONS, PROBABILITIES, Manifest
from service.backend.base import Fetch
from service.backend.compiling import Compiler, DeviceErrors, on_all_cores
from service.backend.graphs import Signature
from service.backend.steps import LOGITS, Packing, make_step
from service.backend.tensorflow_private import TracedFunction
from service.errors import DeviceFailed
from service.text.lemmatizer import LEMMA, NEXT_RULES
from service.types import Array, Tensors

BEST = "best"  # the output of the step with the best labels of all heads
DEFAULT_OUTPUTS = ("_id", "_probability")  # of a head: its best label per token


class TensorFlowSequenceModel:
    """A tagger or classifier. A head returns each token's best label and its probability.

    Further outputs, the logits of all labels and explanations, are computed on request, by an executable of their own.
    """

    def __init__(self, compiler: Compiler, manifest: Manifest, signatures: Mapping[str, Signature]) -> None:
        self._compiler = compiler
        self._device = compiler.device
        self._capacity = 0
        heads = manifest.heads
        timed = [name for name, spec in manifest.endpoint.outputs.items() if spec.axes[:2] == ("B", "T")]
        self._best = [f"{head}{output}" for head in heads for output in DEFAULT_OUTPUTS]
        self._best += NEXT_RULES if LEMMA in heads else ()
        self._floats = frozenset(f"{head}{DEFAULT_OUTPUTS[1]}" for head in heads)
        self._candidates = manifest.candidate_outputs
        self.timed_outputs = frozenset(self._best).union(timed, *self._candidates.values())
        self._step = make_step(compiler, manifest, signatures)
        self._packing: Packing
        self._traced: TracedFunction
        self._runs: dict[int, TracedFunction] = {}  # by batch size
        self._further: TracedFunction
        self._read: dict[str, tf.TensorSpec] = {}  # outputs of the step that further ones are computed from
        self._concatenated = any(spec.axes[0] == POSITIONS for spec in self._step.outputs.values())
        sizes = [manifest.endpoint.outputs[head].axes[2] for head in heads]
        starts = np.cumsum([0, *sizes]).tolist()
        ends = [start + len(manifest.labels[head]) for start, head in zip(starts, heads, strict=False)]
        self._scores = dict(zip(heads, map(slice, starts, ends), strict=False))  # of each head, among the logits

    def warm_up(self, batch_sizes: Iterable[int], capacity: int) -> Iterator[None]:
        """Traces the steps, then compiles them, see `service.backend.base`.

        Raises ConfigurationError for batches that are too large.
        """
        batch_sizes = list(batch_sizes)
        if (cache := self._step.cache) is not None:
            cache.check_batch(max(batch_sizes) * capacity)
        self._capacity = capacity
        self._packing = Packing({name: (spec.dtype, spec.axes) for name, spec in self._step.inputs.items()}, capacity)
        self._trace()
        work: list[Callable[[], None]] = [partial(self._compile, b) for b in batch_sizes]
        if self._step.further:
            work.insert(0, self._compile_further)
        if cache is not None:
            work.insert(0, cache.warm_up)  # what takes longest comes first, so that all cores end at the same time
        return on_all_cores(work, self._step.fill)

    def _trace(self) -> None:
        cells = tf.TensorSpec([None, self._packing.width], tf.int32)

        def run(cells: Any) -> dict[str, Any]:
            """Returns the labels of all heads, stacked  # [N, B, T] or [N, positions] int32, and the other outputs."""
            outputs = dict(self._step.compute(**self._packing.unpack(cells)))
            best = [tf.bitcast(outputs.pop(name), tf.int32) for name in self._best]
            return outputs | ({BEST: tf.stack(best)} if best else {})

        name = f"{self._capacity} {self._best}"
        self._traced = self._compiler.trace(name, run, cells)
        if (further := self._step.further) is None:
            return

        def computed(cells: Any, *read: Any) -> dict[str, Any]:
            return further(**self._packing.unpack(cells), **dict(zip(self._read, read, strict=True)))

        sizes = {"B": 1, "T": self._capacity}
        for read in self._step.read:
            spec = self._step.outputs[read]
            self._read[read] = tf.TensorSpec([a if isinstance(a, int) else sizes[a] for a in spec.axes], spec.dtype)
        cells = tf.TensorSpec([1, self._packing.width], tf.int32)
        self._further = self._compiler.trace(f"{name} further", computed, cells, *self._read.values())

    def _compile(self, b: int) -> None:
        self._runs[b] = self._compiler.compile(self._traced, tf.ones([b, self._packing.width], tf.int32))

    def _compile_further(self) -> None:
        read = (tf.zeros(spec.shape, spec.dtype) for spec in self._read.values())
        self._further = self._compiler.compile(self._further, tf.ones([1, self._packing.width], tf.int32), *read)

    def start(self, inputs: Tensors, extra_outputs: frozenset[str] = frozenset()) -> Fetch:
        """Starts a batch of a compiled size; see `service.backend.base`."""
        b, t = inputs["word_ids"].shape
        if b not in self._runs or t > self._capacity:
            raise DeviceFailed(f"no step was compiled that takes the shape ({b}, {t})")
        lengths = inputs["lengths"]
        with tf.device(self._device), DeviceErrors():
            cache = self._step.cache
            cells = self._packing.pack(inputs if cache is None else cache.prepare(inputs))
            outputs = self._runs[b](tf.constant(cells))
            # At once, for the cache may have other words at the next batch.
            further = self._start_further(cells, outputs) if extra_outputs else []

        def fetch() -> dict[str, Array]:
            with DeviceErrors():
                found: dict[str, Array] = {}
                if self._best:
                    labels = outputs[BEST].numpy()[:, self._real(lengths)]  # [N, tokens] int32
                    for name, values in zip(self._best, labels, strict=True):
                        found[name] = values.view(np.float32) if name in self._floats else values
                if PROBABILITIES in outputs:
                    found[PROBABILITIES] = outputs[PROBABILITIES].numpy()
                if not extra_outputs:
                    return found
                more = self._fetch_further(further, lengths)
                if LOGITS in outputs:  # of versions whose step returns them
                    more[LOGITS] = outputs[LOGITS].numpy()[self._real(lengths)]
                more |= self._of_logits(extra_outputs, found, more)
                return found | {name: values for name, values in more.items() if name in extra_outputs}

        return fetch

    def _real(self, lengths: Array) -> slice | Array:
        """Returns the index of the tokens among positions [positions] or [B, capacity]; the rest is padding."""
        return slice(lengths.sum()) if self._concatenated else np.arange(self._capacity) < lengths[:, None]

    def _start_further(self, cells: Array, outputs: dict[str, Any]) -> list[dict[str, Any]]:
        """Returns the further outputs of each row, computed apart, so that they do not depend on the batch."""
        if self._step.further is None:
            return []
        rows = [[tf.constant(row[None]) for row in cells]]
        rows += [tf.split(outputs[name], len(cells)) for name in self._read]
        return [self._further(*row) for row in zip(*rows, strict=True)]

    def _fetch_further(self, rows: list[dict[str, Any]], lengths: Array) -> dict[str, Array]:
        """Returns the further outputs of all rows, one after the other; those with a time axis without padding."""
        found: dict[str, list[Array]] = {}
        for length, outputs in zip(lengths.tolist(), rows, strict=False):
            for name, values in outputs.items():
                row = values.numpy()
                row = row[:length] if name == LOGITS else row[0, :length] if name in self.timed_outputs else row
                found.setdefault(name, []).append(row)
        return {name: np.concatenate(arrays) for name, arrays in found.items()}

    def _of_logits(
        self, extra_outputs: frozenset[str], best: dict[str, Array], more: dict[str, Array]
    ) -> dict[str, Array]:
        """Returns the probabilities of all labels, and the best labels, of the heads that are wanted.

        They are computed by NumPy, whose exponential does not depend on a number's position in an array; TensorFlow's
        does.
        """
        found: dict[str, Array] = {}
        for head, (ids, probabilities) in self._candidates.items():
            if extra_outputs & {head, ids, probabilities}:
                logits = more[LOGITS][:, self._scores[head]]  # [tokens, K]
                odds = np.exp(logits - logits.max(-1, keepdims=True))  # 1 of the best label
                found[head] = odds * best[f"{head}_probability"][:, None]
                top = tf.math.top_k(found[head], min(CANDIDATES, logits.shape[-1]))
                found[probabilities], found[ids] = (values.numpy() for values in top)
        return found
