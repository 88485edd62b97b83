"""Taggers and classifiers: one step per batch size, compiled by XLA."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from service.artifact.manifest import CANDIDATES, POSITIONS, PROBABILITIES, Manifest
from service.backend.base import Fetch
from service.backend.compiling import compiled, on_all_cores, on_device
from service.backend.names import reproducible_names
from service.backend.packing import Packing
from service.backend.steps import make_step
from service.errors import DeviceFailed
from service.text.lemmatizer import LEMMA, NEXT_RULES
from service.types import Array, Tensors

PARTS = ("_id", "_probability")  # default outputs of a head: its best label per token


class TensorFlowSequenceModel:
    """A tagger or classifier. A head returns each token's best label and its probability.

    Other outputs, such as the probabilities of all labels, stay on the device until they are requested. So do the best
    few labels of each head, computed after the step, and explanations, which have their own executable.
    """

    def __init__(self, device: str, manifest: Manifest, loaded: Any) -> None:
        self._device = device
        self._name = manifest.name
        self._loaded = loaded  # owns the variables
        self._batch_sizes: set[int] = set()
        self._capacity = 0
        heads = manifest.heads
        timed = [name for name, spec in manifest.endpoint.outputs.items() if spec.axes[:2] == ("B", "T")]
        self._best = [f"{head}{part}" for head in heads for part in PARTS]
        self._best += NEXT_RULES if LEMMA in heads else ()
        self._candidates = manifest.candidate_outputs
        self.timed_outputs = frozenset(self._best).union(timed, *self._candidates.values())
        self._usual = frozenset(self._best) | {PROBABILITIES}
        with tf.device(device):
            self._step = make_step(manifest, loaded.signatures)
        self._packing: Packing
        self._run: Any
        self._explain: Any
        self._concatenated = any(spec.axes[0] == POSITIONS for spec in self._step.outputs.values())
        ends = np.cumsum([0, *(len(manifest.labels[head]) for head in heads)]).tolist()
        self._scores = dict(zip(heads, map(slice, ends, ends[1:]), strict=False))  # of each head, among the logits

    def warm_up(self, batch_sizes: Iterable[int], capacity: int) -> Iterator[int]:
        """Compiles a step of each batch size B for sequences of up to `capacity`; yields their number after each.

        Raises ConfigurationError for batches that are too large for the model.
        """
        batch_sizes = list(batch_sizes)
        if (cache := self._step.cache) is not None:
            cache.check_batch(max(batch_sizes) * capacity)
        self._capacity = capacity
        self._packing = Packing({name: (spec.dtype, spec.axes) for name, spec in self._step.inputs.items()}, capacity)
        with tf.device(self._device), reproducible_names(f"{self._name}, warmed up"):
            self._trace()
        work: list[Callable[[], None]] = [partial(self._compile, b) for b in batch_sizes]
        if self._step.explain:
            work.append(self._compile_explanation)
        if cache is not None:
            work.append(cache.warm_up)
        yield from on_all_cores(work)

    def _trace(self) -> None:
        cells = tf.TensorSpec([None, self._packing.width], tf.int32)

        def run(cells: Any) -> tuple[Any, dict[str, Any]]:
            """Returns the labels of all heads, stacked  # [N, B, T] int32, and the other outputs."""
            outputs = dict(self._step.compute(**self._packing.unpack(cells)))
            best = [tf.bitcast(outputs.pop(name), tf.int32) for name in self._best]
            return tf.stack(best) if best else cells[:0], outputs

        self._run = compiled(run, cells)
        if (explain := self._step.explain) is None:
            return

        def explained(cells: Any, read: dict[str, Any]) -> dict[str, Any]:
            return explain(**self._packing.unpack(cells), **read)

        shapes = {name: self._step.outputs[name].axes for name in self._step.read}
        read = {name: tf.TensorSpec(self._sizes(1, axes), tf.float32) for name, axes in shapes.items()}
        self._explain = compiled(explained, tf.TensorSpec([1, self._packing.width], tf.int32), read)

    def _compile(self, b: int) -> None:
        with on_device(self._device):
            self._run(tf.ones([b, self._packing.width], tf.int32))
        self._batch_sizes.add(b)

    def _compile_explanation(self) -> None:
        with on_device(self._device):
            shapes = {name: self._sizes(1, self._step.outputs[name].axes) for name in self._step.read}
            self._explain(
                tf.ones([1, self._packing.width], tf.int32), {name: tf.zeros(shape) for name, shape in shapes.items()}
            )

    def _sizes(self, b: int, axes: tuple[str | int, ...]) -> tuple[int, ...]:
        sizes = {"B": b, "T": self._capacity}
        return tuple(axis if isinstance(axis, int) else sizes[axis] for axis in axes)

    def start(self, inputs: Tensors, extra_outputs: frozenset[str] = frozenset()) -> Fetch:
        """Starts a batch of a compiled size; see `service.backend.base`."""
        b, t = inputs["word_ids"].shape
        if b not in self._batch_sizes or t > self._capacity:
            raise DeviceFailed(f"no step was compiled that takes the shape ({b}, {t})")
        with on_device(self._device):
            cache = self._step.cache
            cells = self._packing.pack(inputs if cache is None else cache.prepare(inputs))
            best, outputs = self._run(tf.constant(cells))
        valid = np.arange(t) < inputs["lengths"][:, None]  # [B, T]

        def fetch() -> dict[str, Array]:
            with on_device(self._device):
                return self._fetched(cells, best, outputs, extra_outputs, valid)

        return fetch

    def _fetched(
        self, cells: Array, best: Any, outputs: dict[str, Any], extra_outputs: frozenset[str], valid: Array
    ) -> dict[str, Array]:
        """Returns the outputs of a batch that has been started. valid: its valid positions, [B, T] bool."""
        found: dict[str, Array] = {}
        labels = best.numpy()  # [heads, B, T] int32
        if self._concatenated:
            labels = pad_positions(labels, valid)
        for name, values in zip(self._best, labels, strict=True) if self._best else ():
            found[name] = values.view(np.float32) if name.endswith(PARTS[1]) else values  # [B, T]
        wanted = self._usual | extra_outputs
        if extra_outputs & self._step.explained:
            found |= self._explanations(cells, outputs, extra_outputs)
        if extra_outputs:
            found |= self._of_all_labels(outputs, found, extra_outputs, valid)
        return found | {name: values.numpy() for name, values in outputs.items() if name in wanted - found.keys()}

    def _of_all_labels(
        self, outputs: dict[str, Any], best: dict[str, Array], extra_outputs: frozenset[str], valid: Array
    ) -> dict[str, Array]:
        """Returns the probabilities of all labels of heads, and the best few, on request.

        Computed by NumPy, whose exponential does not depend on a number's position in an array; TensorFlow's does.
        """
        found = {}
        t = valid.shape[1]
        for head, (ids, probabilities) in self._candidates.items():
            if not extra_outputs & {head, ids, probabilities}:
                continue
            logits = outputs["logits"][..., self._scores[head]].numpy()
            logits = pad_positions(logits[None], valid)[0] if self._concatenated else logits[:, :t]  # [B, T, K]
            odds = np.exp(logits - logits.max(-1, keepdims=True))  # 1 of the best label
            found[head] = odds * best[f"{head}_probability"][:, :t, None]
            top = tf.math.top_k(found[head], min(CANDIDATES, logits.shape[-1]))
            found[probabilities], found[ids] = (values.numpy() for values in top)
        return {name: values for name, values in found.items() if name in extra_outputs}

    def _explanations(self, cells: Array, outputs: dict[str, Any], extra_outputs: frozenset[str]) -> dict[str, Array]:
        """Returns explanations, computed row by row, so that they do not depend on the batch."""
        read = {name: outputs[name].numpy() for name in self._step.read}
        rows = [
            self._explain(
                tf.constant(cells[i : i + 1]), {name: tf.constant(part[i : i + 1]) for name, part in read.items()}
            )
            for i in range(len(cells))
        ]
        return {
            name: np.concatenate([row[name].numpy() for row in rows]) for name in self._step.explained & extra_outputs
        }


def pad_positions(values: Array, valid: Array) -> Array:
    """Returns values of concatenated sequences as a padded batch, 0 at padding: [N, positions, ...] -> [N, B, T, ...].

    valid: the valid positions of the batch, [B, T] bool.
    """
    padded = np.zeros((len(values), *valid.shape, *values.shape[2:]), values.dtype)
    padded[:, valid] = values[:, : np.count_nonzero(valid)]
    return padded
