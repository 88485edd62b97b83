"""Runs SavedModels with TensorFlow, each shape of the grid compiled by XLA."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from service.artifact import PROBABILITIES, SAVED_MODEL, Endpoint, Golden, Manifest, read_goldens
from service.backend.device import choose_device
from service.backend.names import names_of
from service.backend.sampling import sample
from service.backend.steps import Signature, make_step
from service.engine.padding import Array, Tensors, pad, unpad
from service.errors import ArtifactError, DeviceFailed

# Sums of floats come out a little different on other processors and in other batch shapes.
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-3, 1e-4


class TensorFlowBackend:
    """TensorFlow on one device. One a process: the device's set-up is the process's."""

    def __init__(self, device: str, threads: int) -> None:
        """Takes the device, see `choose_device`. Raises ConfigurationError."""
        self._device = choose_device(device, threads)
        # TensorFlow makes its threads when it first runs something. They have the priority of the thread that makes
        # them, which is to be that of those who serve: models may be loaded with less.
        with tf.device(self._device):
            tf.function(lambda x: x + 1.0, jit_compile=True, autograph=False)(tf.zeros([2]))

    @property
    def device(self) -> str:
        """The device in words."""
        if self._device.startswith("/GPU"):
            details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
            return str(details.get("device_name", "GPU"))
        return "CPU"

    def load_sequence_model(self, folder: Path, manifest: Manifest, checked: bool = False) -> "TensorFlowSequenceModel":
        """Loads a tagger or classifier; checks its goldens unless they have been. Raises ArtifactError."""
        with names_of(manifest.name):
            return TensorFlowSequenceModel(self._device, manifest, self._load(folder, manifest, checked))

    def load_generation_model(
        self, folder: Path, manifest: Manifest, checked: bool = False
    ) -> "TensorFlowGenerationModel":
        """Loads a language model; checks its goldens unless they have been. Raises ArtifactError."""
        with names_of(manifest.name):
            return TensorFlowGenerationModel(self._device, manifest, self._load(folder, manifest, checked))

    def _load(self, folder: Path, manifest: Manifest, checked: bool) -> Any:
        try:
            with tf.device(self._device):
                loaded = tf.saved_model.load(str(folder / SAVED_MODEL))
                signature = loaded.signatures[manifest.endpoint_name]
        except Exception as error:  # TensorFlow raises what it likes on a damaged SavedModel
            raise ArtifactError(f"{folder}: the SavedModel cannot be loaded: {error}") from error
        if not checked:
            check_goldens(folder, manifest.endpoint, signature)
        return loaded


def check_goldens(folder: Path, endpoint: Endpoint, signature: Signature) -> None:
    """Runs the goldens, and raises ArtifactError where an output is not what training computed."""
    for number, golden in enumerate(read_goldens(folder), start=1):
        try:
            outputs = run_golden(endpoint, signature, golden)
        except Exception as error:
            raise ArtifactError(f"{folder}: golden {number} cannot be run: {error}") from error
        for name, expected in golden.outputs.items():
            wanted = np.asarray(expected, np.float32)
            got = outputs[name]
            if got.shape != wanted.shape or not np.allclose(got, wanted, RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE):
                raise ArtifactError(f"{folder}: golden {number}: {name} is not what training computed")


def run_golden(endpoint: Endpoint, signature: Signature, golden: Golden) -> dict[str, Array]:
    """Returns the outputs for a golden's inputs, alone in a batch of one, the batch axis taken away."""
    specs = endpoint.inputs
    example = {name: np.asarray(value, specs[name].dtype) for name, value in golden.inputs.items()}
    sequences = {name: value for name, value in example.items() if specs[name].axes[1:2] == ("T",)}
    batch = pad([sequences], {name: specs[name] for name in (*sequences, "lengths")}, (1, _length(sequences)))
    others = {name: example[name][None] for name in example.keys() - sequences.keys()}
    outputs = signature(**{name: tf.constant(v) for name, v in (batch.inputs | others).items()})
    return unpad({name: v.numpy() for name, v in outputs.items()}, batch, frozenset())[0]


def _length(sequences: Tensors) -> int:
    return int(next(iter(sequences.values())).shape[0])


class TensorFlowSequenceModel:
    """A tagger or classifier. A head that labels each token gives the best label and its probability.

    What else a model computes, such as the probabilities of all labels of a head, stays on the device until it is asked
    for.
    """

    def __init__(self, device: str, manifest: Manifest, loaded: Any) -> None:
        self._device = device
        self._loaded = loaded  # owns the variables
        self._inputs = manifest.endpoint.inputs
        self._shapes: set[tuple[int, int]] = set()
        heads = manifest.heads
        timed = [name for name, spec in manifest.endpoint.outputs.items() if spec.axes[:2] == ("B", "T")]
        best = {f"{head}{part}" for head in heads for part in ("_id", "_probability")}
        self.timed_outputs = frozenset(best.union(timed))
        self._usual = best | {PROBABILITIES}
        with tf.device(device):
            self._step = make_step(manifest, loaded.signatures)

        def compute(**inputs: Any) -> dict[str, Any]:
            outputs = dict(self._step.compute(**inputs))
            for head in heads:
                probabilities = outputs[head]  # [B, T, K]
                outputs[f"{head}_id"] = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
                outputs[f"{head}_probability"] = tf.reduce_max(probabilities, axis=-1)
            return outputs

        specs = {name: tensor_spec(name, spec.axes, spec.dtype) for name, spec in self._step.inputs.items()}
        self._compiled = tf.function(compute, jit_compile=True, autograph=False).get_concrete_function(**specs)

    def warm_up(self, shapes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Compiles and runs each shape; yields each (B, T) when it is done."""
        with tf.device(self._device):
            self._step.warm_up()

        def compile_shape(shape: tuple[int, int]) -> None:
            inputs = pad([], self._inputs, shape).inputs | {"places": np.zeros(shape, np.int32)}
            with running(self._device):
                self._compiled(**{name: tf.constant(inputs[name]) for name in self._step.inputs})
            self._shapes.add(shape)

        yield from on_all_cores(compile_shape, shapes)

    def run(self, inputs: Tensors, further: frozenset[str] = frozenset()) -> dict[str, Array]:
        """Runs a batch whose shape is on the grid; see `service.backend.base`."""
        shape = next(values.shape[:2] for name, values in inputs.items() if name != "lengths")
        if shape not in self._shapes:
            raise DeviceFailed(f"the shape {shape} is not on the grid that was compiled")
        with running(self._device):
            tensors = {name: tf.constant(values) for name, values in self._step.prepare(inputs).items()}
            wanted = self._usual | further
            outputs = self._compiled(**tensors)
            return {name: values.numpy() for name, values in outputs.items() if name in wanted}


class TensorFlowGenerationModel:
    """A language model: its step and the sampling in one executable, its state kept on the device."""

    def __init__(self, device: str, manifest: Manifest, loaded: Any) -> None:
        self._device = device
        self._loaded = loaded  # owns the variables
        self._state_size = manifest.endpoint.inputs["state"].axes[1]
        self._state: Any = None  # [slots + 1, state size]: the last row is that of filler rows
        self._shapes: set[tuple[int, int]] = set()
        with tf.device(device):
            model = make_step(manifest, loaded.signatures)

        def step(state: Any, slots: Any, ids: Any, lengths: Any, fresh: Any, **wishes: Any) -> dict[str, Any]:
            before = tf.where(fresh[:, None], 0.0, tf.gather(state, slots))
            outputs = model.compute(ids=ids, lengths=lengths, state=before)
            state = tf.tensor_scatter_nd_update(state, slots[:, None], outputs["state"])
            return {**sample(outputs["logits"], **wishes), "state": state}

        self._specs = {
            "slots": tf.TensorSpec([None], tf.int32, "slots"),
            "ids": tf.TensorSpec([None, None], tf.int32, "ids"),
            "lengths": tf.TensorSpec([None], tf.int32, "lengths"),
            "fresh": tf.TensorSpec([None], tf.bool, "fresh"),
            "temperature": tf.TensorSpec([None], tf.float32, "temperature"),
            "top_k": tf.TensorSpec([None], tf.int32, "top_k"),
            "top_p": tf.TensorSpec([None], tf.float32, "top_p"),
            "seed": tf.TensorSpec([None], tf.int64, "seed"),
            "position": tf.TensorSpec([None], tf.int64, "position"),
        }
        state = tf.TensorSpec([None, self._state_size], tf.float32, "state")
        self._step = tf.function(step, jit_compile=True, autograph=False).get_concrete_function(
            state=state, **self._specs
        )

    def warm_up(self, slots: int, shapes: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Makes the states of that many slots, compiles and runs each shape; yields each (B, T) when it is done."""
        self._state = tf.zeros([slots + 1, self._state_size])

        def compile_shape(shape: tuple[int, int]) -> None:
            with running(self._device):
                zeros = {name: tf.zeros(shape[: len(spec.shape)], spec.dtype) for name, spec in self._specs.items()}
                self._step(state=self._state, **zeros)
            self._shapes.add(shape)

        yield from on_all_cores(compile_shape, shapes)

    def step(self, inputs: Tensors, logprobs: bool = False) -> dict[str, Array]:
        """Reads tokens into slots' states and samples one token a row; see `service.backend.base`."""
        if inputs["ids"].shape not in self._shapes:
            raise DeviceFailed(f"the shape {inputs['ids'].shape} is not one that was compiled")
        with running(self._device):
            tensors = {name: tf.constant(values) for name, values in inputs.items()}
            outputs = self._step(state=self._state, **tensors)
            wanted = ("ids", "logprobs", "top_ids", "top_logprobs") if logprobs else ("ids",)
            sampled = {name: outputs[name].numpy() for name in wanted}
        self._state = outputs["state"]
        return sampled


def on_all_cores(
    work: Callable[[tuple[int, int]], None], shapes: Iterable[tuple[int, int]]
) -> Iterator[tuple[int, int]]:
    """Does the work for each shape, as many at a time as there are cores; yields each that is done."""
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        futures = {pool.submit(work, shape): shape for shape in shapes}
        try:
            for future in as_completed(futures):
                future.result()
                yield futures[future]
        finally:
            pool.shutdown(cancel_futures=True)


def tensor_spec(name: str, axes: tuple[str | int, ...], dtype: str) -> Any:
    """Returns TensorFlow's form of a manifest's tensor: named axes are left open."""
    return tf.TensorSpec([axis if isinstance(axis, int) else None for axis in axes], dtype, name)


@contextmanager
def running(device: str) -> Iterator[None]:
    """Runs the block on a device. Raises DeviceFailed for whatever fails there."""
    try:
        with tf.device(device):
            yield
    except tf.errors.OpError as error:
        raise DeviceFailed(f"the device failed: {error.message}") from error
