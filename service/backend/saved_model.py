"""Runs SavedModels with TensorFlow, each shape of the grid compiled by XLA."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from service.artifact import SAVED_MODEL, Endpoint, Golden, Manifest, read_goldens
from service.backend.device import choose_device
from service.backend.sampling import sample
from service.backend.spelling import Spellings
from service.engine.padding import Array, Grid, Tensors, pad, unpad
from service.errors import ArtifactError, DeviceFailed

# Sums of floats come out a little different on other processors and in other batch shapes.
RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-3, 1e-4

Signature = Callable[..., dict[str, Any]]


class TensorFlowBackend:
    """TensorFlow on one device. One a process: the device's set-up is the process's."""

    def __init__(self, device: str, threads: int) -> None:
        """Takes the device, see `choose_device`. Raises ConfigurationError."""
        self._device = choose_device(device, threads)

    @property
    def device(self) -> str:
        """The device in words."""
        if self._device.startswith("/GPU"):
            details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
            return str(details.get("device_name", "GPU"))
        return "CPU"

    def load_sequence_model(self, folder: Path, manifest: Manifest) -> "TensorFlowSequenceModel":
        """Loads a tagger or classifier and checks its goldens. Raises ArtifactError."""
        return TensorFlowSequenceModel(self._device, manifest, self._load(folder, manifest))

    def load_generation_model(self, folder: Path, manifest: Manifest) -> "TensorFlowGenerationModel":
        """Loads a language model and checks its goldens. Raises ArtifactError."""
        return TensorFlowGenerationModel(self._device, manifest, self._load(folder, manifest))

    def _load(self, folder: Path, manifest: Manifest) -> Any:
        try:
            with tf.device(self._device):
                loaded = tf.saved_model.load(str(folder / SAVED_MODEL))
                signature = loaded.signatures[manifest.endpoint_name]
        except Exception as error:  # TensorFlow raises what it likes on a damaged SavedModel
            raise ArtifactError(f"{folder}: the SavedModel cannot be loaded: {error}") from error
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
    """A tagger or classifier. Heads with a label a token give the best label and its probability.

    A tagger whose spelling and tagging are endpoints of their own is run through these; its spellings are remembered.
    """

    def __init__(self, device: str, manifest: Manifest, loaded: Any) -> None:
        self._device = device
        self._loaded = loaded  # owns the variables
        self._inputs = manifest.endpoint.inputs
        self._shapes: set[tuple[int, int]] = set()
        self._spellings = self._make_spellings(manifest) if "spell" in manifest.endpoints else None
        name = manifest.endpoint_name if self._spellings is None else "tag_spelled"
        outputs = manifest.endpoints[name].outputs
        heads = [head for head, spec in outputs.items() if spec.axes[:2] == ("B", "T")]
        self.timed_outputs = frozenset(f"{head}{part}" for head in heads for part in ("_id", "_probability"))

        def step(**inputs: Any) -> dict[str, Any]:
            outputs = dict(loaded.signatures[name](**inputs))
            for head in heads:
                probabilities = outputs.pop(head)  # [B, T, K]
                outputs[f"{head}_id"] = tf.argmax(probabilities, axis=-1, output_type=tf.int32)
                outputs[f"{head}_probability"] = tf.reduce_max(probabilities, axis=-1)
            return outputs

        self._step = compiled(step, manifest.endpoints[name])

    def _make_spellings(self, manifest: Manifest) -> Spellings:
        endpoint = manifest.endpoints["spell"]
        step = compiled(self._loaded.signatures["spell"], endpoint)
        characters, size = endpoint.inputs["char_ids"].axes[1], endpoint.outputs["spellings"].axes[1]
        assert isinstance(characters, int)  # noqa: S101 (fixed axes)
        assert isinstance(size, int)  # noqa: S101
        return Spellings(lambda ids: call(self._device, step, {"char_ids": ids})["spellings"], characters, size)

    def warm_up(self, grid: Grid) -> Iterator[tuple[int, int]]:
        """Compiles and runs each shape of the grid; yields each (B, T) when it is done."""
        if self._spellings is not None:
            self._spellings.warm_up()
        for shape in grid.shapes:
            self._shapes.add(shape)
            self.run(pad([], self._inputs, shape).inputs)
            yield shape

    def run(self, inputs: Tensors) -> dict[str, Array]:
        """Runs a batch whose shape is on the grid. Raises DeviceFailed, also for a shape that is not compiled."""
        shape = next(values.shape[:2] for name, values in inputs.items() if name != "lengths")
        if shape not in self._shapes:
            raise DeviceFailed(f"the shape {shape} is not on the grid that was compiled")
        if self._spellings is not None:
            inputs = {name: values for name, values in inputs.items() if name != "char_ids"} | {
                "spellings": self._spellings(inputs["char_ids"])
            }
        return call(self._device, self._step, inputs)


class TensorFlowGenerationModel:
    """A language model: its step and the sampling in one executable, its state kept on the device."""

    def __init__(self, device: str, manifest: Manifest, loaded: Any) -> None:
        self._device = device
        self._loaded = loaded  # owns the variables
        signature = loaded.signatures[manifest.endpoint_name]
        self._state_size = manifest.endpoint.inputs["state"].axes[1]
        self._state: Any = None
        self._shapes: set[tuple[int, int]] = set()

        def step(state: Any, ids: Any, lengths: Any, fresh: Any, **wishes: Any) -> dict[str, Any]:
            state = tf.where(fresh[:, None], 0.0, state)
            outputs = signature(ids=ids, lengths=lengths, state=state)
            return {"ids": sample(outputs["logits"], **wishes), "state": outputs["state"]}

        specs = {
            "state": tf.TensorSpec([None, self._state_size], tf.float32, "state"),
            "ids": tf.TensorSpec([None, None], tf.int32, "ids"),
            "lengths": tf.TensorSpec([None], tf.int32, "lengths"),
            "fresh": tf.TensorSpec([None], tf.bool, "fresh"),
            "temperature": tf.TensorSpec([None], tf.float32, "temperature"),
            "top_k": tf.TensorSpec([None], tf.int32, "top_k"),
            "top_p": tf.TensorSpec([None], tf.float32, "top_p"),
            "seed": tf.TensorSpec([None], tf.int64, "seed"),
            "position": tf.TensorSpec([None], tf.int64, "position"),
        }
        self._specs = specs
        self._step = tf.function(step, jit_compile=True).get_concrete_function(**specs)

    def warm_up(self, slots: int, lengths: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Compiles and runs the step for that many slots and each number of tokens read; yields each shape."""
        self._state = tf.zeros([slots, self._state_size])
        for length in lengths:
            self._shapes.add((slots, length))
            inputs = {
                name: np.zeros([slots] if len(spec.shape) == 1 else [slots, length], spec.dtype.as_numpy_dtype)
                for name, spec in self._specs.items()
                if name != "state"
            }
            self.step(inputs | {"lengths": np.ones(slots, np.int32), "fresh": np.ones(slots, np.bool_)})
            yield slots, length

    def step(self, inputs: Tensors) -> Array:
        """Reads tokens into the slots' states and samples one token a slot; see `service.backend.base`."""
        if inputs["ids"].shape not in self._shapes:
            raise DeviceFailed(f"the shape {inputs['ids'].shape} is not one that was compiled")
        try:
            with tf.device(self._device):
                tensors = {name: tf.constant(values) for name, values in inputs.items()}
                outputs = self._step(state=self._state, **tensors)
                sampled: Array = outputs["ids"].numpy()
        except tf.errors.OpError as error:
            raise DeviceFailed(f"the device failed in a generation step: {error.message}") from error
        self._state = outputs["state"]
        return sampled


def compiled(step: Signature, endpoint: Endpoint) -> Signature:
    """Returns a step on an endpoint's inputs that XLA compiles once for each shape."""
    specs = {name: tensor_spec(name, spec.axes, spec.dtype) for name, spec in endpoint.inputs.items()}
    return tf.function(step, jit_compile=True).get_concrete_function(**specs)  # type: ignore[no-any-return]


def tensor_spec(name: str, axes: tuple[str | int, ...], dtype: str) -> Any:
    """Returns TensorFlow's form of a manifest's tensor: named axes are left open."""
    return tf.TensorSpec([axis if isinstance(axis, int) else None for axis in axes], dtype, name)


def call(device: str, step: Callable[..., dict[str, Any]], inputs: Tensors) -> dict[str, Array]:
    """Runs a compiled step on NumPy arrays. Raises DeviceFailed."""
    try:
        with tf.device(device):
            outputs = step(**{name: tf.constant(values) for name, values in inputs.items()})
            return {name: values.numpy() for name, values in outputs.items()}
    except tf.errors.OpError as error:
        raise DeviceFailed(f"the device failed while it ran a batch: {error.message}") from error
