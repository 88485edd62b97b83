"""Language models: step and sampling in one executable, compiled by XLA per number of rows."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import tensorflow as tf

from service.artifact.manifest import Manifest
from service.backend.base import GENERATION_INPUTS, Fetch
from service.backend.compiling import compiled, on_all_cores, on_device
from service.backend.graphs import Loaded
from service.backend.packing import Packing
from service.backend.sampling import sample
from service.backend.steps import make_step
from service.backend.tensorflow_private import reproducible_names
from service.errors import DeviceFailed
from service.types import Array, Tensors

SAMPLED = ("ids", "logprobs", "top_ids", "top_logprobs")


class TensorFlowGenerationModel:
    """A language model whose state stays on the device. One executable per number of rows serves all lengths."""

    def __init__(self, device: str, manifest: Manifest, loaded: Loaded) -> None:
        self._device = device
        self._manifest = manifest
        self._loaded = loaded  # owns the variables
        self._state_size = manifest.endpoint.inputs["state"].axes[1]
        self._state: Any = None  # [slots + 1, state size]: the last row belongs to filler rows
        self._shapes: set[tuple[int, int]] = set()
        self._packing: Packing
        self._run: Any
        with tf.device(device):
            self._step = make_step(manifest, loaded.signatures)

    def warm_up(self, slots: int, shapes: Iterable[tuple[int, int]]) -> Iterator[None]:
        """Allocates the states of the slots, compiles a step for each shape; yields after each executable."""
        shapes = set(shapes)
        self._packing = packing = Packing(GENERATION_INPUTS, max(t for _, t in shapes))

        def run(state: Any, cells: Any) -> tuple[Any, dict[str, Any]]:
            inputs = packing.unpack(cells)
            slots, ids, lengths, fresh = (inputs.pop(name) for name in ("slots", "ids", "lengths", "fresh"))
            before = tf.where(fresh[:, None], 0.0, tf.gather(state, slots))
            outputs = self._step.compute(ids=ids, lengths=lengths, state=before)
            state = tf.tensor_scatter_nd_update(state, slots[:, None], outputs["state"])
            return state, sample(outputs["logits"], **inputs)

        with (
            tf.device(self._device),
            reproducible_names(f"{self._manifest.graph} {slots} {sorted(shapes)}", str(self._manifest.key)),
        ):
            self._state = tf.zeros([slots + 1, self._state_size])
            cells = tf.TensorSpec([None, packing.width], tf.int32)
            self._run = compiled(run, tf.TensorSpec(self._state.shape, tf.float32), cells)
        numbers = sorted({rows for rows, _ in shapes})
        yield from on_all_cores([partial(self._compile, rows) for rows in numbers], self._fill)
        self._shapes = shapes

    def _fill(self) -> None:
        with on_device(self._device):
            self._step.fill()

    def _compile(self, rows: int) -> None:
        with on_device(self._device):
            self._run(self._state, tf.zeros([rows, self._packing.width], tf.int32))

    def start(self, inputs: Tensors, logprobs: bool = False) -> Fetch:
        """Starts to read tokens into slots' states, and to sample one per row; see `service.backend.base`."""
        if inputs["ids"].shape not in self._shapes:
            raise DeviceFailed(f"the shape {inputs['ids'].shape} is not one that was compiled")
        with on_device(self._device):
            self._state, outputs = self._run(self._state, tf.constant(self._packing.pack(inputs)))

        def fetch() -> dict[str, Array]:
            with on_device(self._device):
                return {name: outputs[name].numpy() for name in (SAMPLED if logprobs else SAMPLED[:1])}

        return fetch
