"""Language models: step and sampling in one executable, compiled by XLA per number of rows.

The next token is sampled by temperature; top-k (Fan et al. 2018); top-p, or nucleus, sampling (Holtzman et al. 2020).
All parameters are tensors with one value per row, so that rows with different options share a step.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import tensorflow as tf

from service.artifact.manifest import Manifest
from service.backend.base import GENERATION_INPUTS, Fetch
from service.backend.compiling import Compiler, DeviceErrors, on_all_cores
from service.backend.graphs import Signature
from service.backend.steps import Packing, make_step
from service.backend.tensorflow_private import TracedFunction
from service.errors import DeviceFailed
from service.text.vocabulary import RESERVED
from service.types import Array, Tensors

TOP = 5  # most probable tokens whose probabilities are returned
STATES = "states"  # the output of a step with the states of all slots
SAMPLED = ("ids", "logprobs", "top_ids", "top_logprobs")


class TensorFlowGenerationModel:
    """A language model whose state stays on the device. One executable per number of rows serves all lengths."""

    def __init__(self, compiler: Compiler, manifest: Manifest, signatures: Mapping[str, Signature]) -> None:
        self._compiler = compiler
        self._device = compiler.device
        self._state_size = manifest.endpoint.inputs["state"].axes[1]
        self._state: Any = None  # [slots + 1, state size]: the last row belongs to filler rows
        self._shapes: set[tuple[int, int]] = set()
        self._packing: Packing
        self._traced: TracedFunction
        self._runs: dict[int, TracedFunction] = {}  # by rows
        self._step = make_step(compiler, manifest, signatures)

    def warm_up(self, slots: int, shapes: Iterable[tuple[int, int]]) -> Iterator[None]:
        """Allocates the states of the slots, compiles a step for each shape; yields after each executable."""
        shapes = set(shapes)
        self._packing = packing = Packing(GENERATION_INPUTS, max(t for _, t in shapes))

        def run(state: Any, cells: Any) -> dict[str, Any]:
            inputs = packing.unpack(cells)
            slots, ids, lengths, fresh = (inputs.pop(name) for name in ("slots", "ids", "lengths", "fresh"))
            before = tf.where(fresh[:, None], 0.0, tf.gather(state, slots))
            outputs = self._step.compute(ids=ids, lengths=lengths, state=before)
            state = tf.tensor_scatter_nd_update(state, slots[:, None], outputs["state"])
            return sample(outputs["logits"], **inputs) | {STATES: state}

        with tf.device(self._device):
            self._state = tf.zeros([slots + 1, self._state_size])
        state, cells = tf.TensorSpec(self._state.shape, tf.float32), tf.TensorSpec([None, packing.width], tf.int32)
        self._traced = self._compiler.trace(f"{slots} {sorted(shapes)}", run, state, cells)
        numbers = sorted({rows for rows, _ in shapes})
        self._shapes = shapes
        return on_all_cores([partial(self._compile, rows) for rows in numbers], self._step.fill)

    def _compile(self, rows: int) -> None:
        cells = tf.zeros([rows, self._packing.width], tf.int32)
        self._runs[rows] = self._compiler.compile(self._traced, self._state, cells)

    def start(self, inputs: Tensors, logprobs: bool = False) -> Fetch:
        """Starts to read tokens into slots' states, and to sample one per row; see `service.backend.base`."""
        if inputs["ids"].shape not in self._shapes:
            raise DeviceFailed(f"the shape {inputs['ids'].shape} is not one that was compiled")
        with tf.device(self._device), DeviceErrors():
            run = self._runs[len(inputs["ids"])]
            outputs = run(self._state, tf.constant(self._packing.pack(inputs)))
            self._state = outputs[STATES]

        def fetch() -> dict[str, Array]:
            with DeviceErrors():
                return {name: outputs[name].numpy() for name in (SAMPLED if logprobs else SAMPLED[:1])}

        return fetch


def sample(
    logits: Any,  # [S, V] float32
    temperature: Any,  # [S] float32; 0 is greedy
    top_k: Any,  # [S] int32; 0 keeps all
    top_p: Any,  # [S] float32; 1 keeps all
    seed: Any,  # [S] int64
    position: Any,  # [S] int64
) -> dict[str, Any]:
    """Samples one id per row, never PAD nor UNK.

    Candidates are sorted by probability and filtered by top-k and top-p. The sample inverts their cumulative
    distribution at a uniform number that depends on (seed, position) alone.

    Returns:
        ids: [S] int32.
        logprobs: of the ids, before temperature, top-k and top-p  # [S] float32.
        top_ids, top_logprobs: the most probable ids, N = TOP or all there are  # [S, N].
    """
    reserved = tf.range(tf.shape(logits)[1]) < len(RESERVED)
    logits = tf.where(reserved[None], -1e9, logits)
    divisor = tf.where(temperature > 0, temperature, 1.0)[:, None]
    order = tf.argsort(logits, axis=-1, direction="DESCENDING", stable=True)  # [S, V]
    probabilities = tf.nn.softmax(tf.gather(logits, order, batch_dims=1) / divisor)
    rank = tf.range(tf.shape(logits)[1])[None]
    before = tf.cumsum(probabilities, axis=-1, exclusive=True)
    kept = ((rank < top_k[:, None]) | (top_k[:, None] == 0)) & (before < top_p[:, None])
    kept = kept | (rank == 0)
    cumulative = tf.cumsum(tf.where(kept, probabilities, 0.0), axis=-1)
    threshold = uniform(seed, position)[:, None] * cumulative[:, -1:]
    chosen = tf.reduce_sum(tf.cast(cumulative <= threshold, tf.int32), axis=-1)
    last = tf.reduce_sum(tf.cast(kept, tf.int32), axis=-1) - 1  # rounding must not exceed the last candidate
    chosen = tf.where(temperature > 0, tf.minimum(chosen, last), 0)
    ids = tf.gather(order, chosen, batch_dims=1)
    logprobs = tf.nn.log_softmax(logits)  # [S, V]
    top_ids = order[:, :TOP]
    return {
        "ids": ids,
        "logprobs": tf.gather(logprobs, ids, batch_dims=1),
        "top_ids": top_ids,
        "top_logprobs": tf.gather(logprobs, top_ids, batch_dims=1),
    }


def uniform(seed: Any, position: Any) -> Any:
    """Returns a uniform number in [0, 1) per row  # [S] float32, a function of the row's (seed, position)."""
    pairs = tf.stack([seed, position], axis=-1)
    return tf.map_fn(lambda pair: tf.random.stateless_uniform((), pair), pairs, fn_output_signature=tf.float32)
