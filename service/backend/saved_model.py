"""Loads SavedModels with TensorFlow on a device, and checks their goldens."""

from functools import partial
from pathlib import Path

import numpy as np
import tensorflow as tf

from service.artifact.files import verified_copy
from service.artifact.manifest import GOLDENS, SAVED_MODEL, Endpoint, Golden, Manifest, read_goldens
from service.backend.cache import NO_CACHE, ExecutableCache
from service.backend.compiling import Compiler, system_error
from service.backend.generation_model import TensorFlowGenerationModel
from service.backend.graphs import Graphs, Signature
from service.backend.sequence_model import TensorFlowSequenceModel
from service.backend.steps import PROJECT
from service.errors import ArtifactError, ConfigurationError, quantity
from service.types import Array


class TensorFlowBackend:
    """TensorFlow on one device. One per process, since devices are configured per process."""

    def __init__(self, device: str, cache: ExecutableCache = NO_CACHE) -> None:
        """Configures the device, see `choose_device`. Raises ConfigurationError.

        `cache` knows the models whose goldens another start has run.
        """
        cache.configure()
        self._device = choose_device(device)
        self._cache = cache
        self._graphs = Graphs()
        # Threads inherit the priority of the thread that starts them, and models may be loaded at a low one. Lowering a
        # function to XLA's operations starts the threads that run steps now; the first compilation, when a model is
        # loaded, starts the threads that compile.
        with tf.device(self._device):
            lower = tf.function(lambda x: x + 1.0, jit_compile=True, autograph=False).experimental_get_compiler_ir
            lower(tf.zeros([2]))(stage="hlo")

    @property
    def device(self) -> str:
        """The device's name for logs."""
        if self.overlaps:
            details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
            return str(details.get("device_name", "GPU"))
        return "CPU"

    @property
    def overlaps(self) -> bool:
        """True on a GPU, whose steps run beside the processor's work."""
        return self._device.startswith("/GPU")

    def load_sequence_model(self, folder: Path, manifest: Manifest) -> TensorFlowSequenceModel:
        """Loads a tagger or classifier, and checks its goldens. Raises ArtifactError."""
        return TensorFlowSequenceModel(self._compiler(manifest), manifest, self._load(folder, manifest))

    def load_generation_model(self, folder: Path, manifest: Manifest) -> TensorFlowGenerationModel:
        """Loads a language model, and checks its goldens. Raises ArtifactError."""
        return TensorFlowGenerationModel(self._compiler(manifest), manifest, self._load(folder, manifest))

    def _compiler(self, manifest: Manifest) -> Compiler:
        return Compiler(self._device, self._cache, manifest.graph, str(manifest.key))

    def _load(self, folder: Path, manifest: Manifest) -> dict[str, Signature]:
        wanted = {n: c for n, c in manifest.files.items() if n == GOLDENS or n.startswith(f"{SAVED_MODEL}/")}
        with verified_copy(folder, wanted) as copy:
            try:
                with tf.device(self._device):
                    signatures = self._graphs.load(copy / SAVED_MODEL, manifest.graph)
                    signature = signatures[manifest.endpoint_name]
            except Exception as error:  # TensorFlow raises various errors for a damaged SavedModel
                reason = str(error).replace(f"{copy}/", "")
                raise ArtifactError(f"the SavedModel cannot be loaded: {reason}") from system_error(error)
            model = f"{self.device} {manifest.model_dump_json()}"  # with the checksums of all files
            self._cache.check_once(model, lambda: check_goldens(copy, manifest, signature))
        if not manifest.endpoints[PROJECT].inputs:
            signatures[PROJECT] = partial(self._cache.tables, model, signatures[PROJECT])
        return signatures


def choose_device(requested: str) -> str:
    """Returns TensorFlow's name of the device for "auto", "cpu" or "gpu", configured for inference.

    A step on a processor takes one thread. Can be configured once per process, before TensorFlow runs anything. Raises
    ConfigurationError for "gpu" if TensorFlow finds none.
    """
    gpus = tf.config.list_physical_devices("GPU") if requested != "cpu" else []
    if requested == "gpu" and not gpus:
        raise ConfigurationError(
            "TAGWERK_DEVICE=gpu, but TensorFlow sees no GPU: check the driver and that the installation has the "
            "[gpu] extra, or set TAGWERK_DEVICE=auto"
        )
    if requested == "cpu":
        tf.config.set_visible_devices([], "GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    tf.config.threading.set_intra_op_parallelism_threads(1)
    return "/GPU:0" if gpus else "/CPU:0"


def check_goldens(folder: Path, manifest: Manifest, signature: Signature) -> None:
    """Runs the goldens.

    Raises ArtifactError if an output is missing, has another size than in the manifest, or differs from training's.
    """
    endpoint = manifest.endpoint
    for number, golden in enumerate(read_goldens(folder), start=1):
        try:
            outputs = run_golden(endpoint, signature, golden)
            expected = {name: np.asarray(values, np.float32) for name, values in golden.outputs.items()}
        except Exception as error:
            raise ArtifactError(f"golden {number} cannot be run: {error}") from error
        if missing := {*endpoint.outputs, *expected} - outputs.keys():
            raise ArtifactError(f"the SavedModel has no output {min(missing)}")
        for name, spec in endpoint.outputs.items():
            sizes = zip(spec.axes[1:], outputs[name].shape, strict=False)
            if wrong := [(axis, size) for axis, size in sizes if isinstance(axis, int) and axis != size]:
                raise ArtifactError(
                    f"{name} has an axis of {wrong[0][0]} in the manifest, of {wrong[0][1]} in the model"
                )
        for head in manifest.heads:
            labels = manifest.labels[head]
            if outputs[head][..., len(labels) :].any():  # of a padded head, it is 0
                raise ArtifactError(f"{quantity(len(labels), 'label')} of {head}, but the model gives others")
        for name, wanted in expected.items():
            got = outputs[name]
            if got.shape != wanted.shape or not np.allclose(got, wanted, *manifest.tolerance(name)):
                raise ArtifactError(f"golden {number}: {name} is not what training computed")


def run_golden(endpoint: Endpoint, signature: Signature, golden: Golden) -> dict[str, Array]:
    """Runs a golden alone in a batch of one; returns its outputs without the batch axis."""
    specs = endpoint.inputs
    example = {name: np.asarray(value, specs[name].dtype) for name, value in golden.inputs.items()}
    sequences = {name: value for name, value in example.items() if specs[name].axes[1:2] == ("T",)}
    rows = {name: value[None] for name, value in example.items()}  # [1, T] or [1, ...]
    rows["lengths"] = np.array([len(next(iter(sequences.values())))], np.int32)
    outputs = signature(**{name: tf.constant(v) for name, v in rows.items()})
    return {name: v.numpy()[0] for name, v in outputs.items()}
