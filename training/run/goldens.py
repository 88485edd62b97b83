"""Goldens: what an exported version must compute, as training computed it."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from service.artifact import manifest as artifact
from service.artifact.manifest import Golden, Manifest
from service.errors import ArtifactError
from training.data.dataset import Example, collate
from training.run.versions import load_endpoint
from training.tasks.base import Predict, ServedTask

OF_FLOATS = (1e-5, 1e-5)  # the tolerance on the same processor, relative and absolute: stricter than the service's


def golden_of(task: ServedTask, model: keras.Model, example: Example) -> Golden:
    """Computes the outputs of one example with Keras, eagerly and in a batch of its own."""
    outputs = task.predict(model, collate([example]).inputs)
    return Golden(
        source=example.source,
        inputs={name: array.tolist() for name, array in example.inputs.items()},
        outputs={name: np.round(output.numpy()[0].astype(float), 6).tolist() for name, output in outputs.items()},
    )


def check_version(folder: Path) -> None:
    """Reads a version back as the service does, and compares its goldens, run one by one and, by XLA, as a batch."""
    manifest = artifact.read_manifest(folder)
    artifact.verify_files(folder, manifest)
    artifact.read_vocabularies(folder, manifest)
    name = manifest.endpoint_name
    goldens = list(artifact.read_goldens(folder))
    loaded = load_endpoint(folder, name)
    for golden in goldens:
        _compare([golden], loaded, manifest, "loaded back")
    compiled = load_endpoint(folder, name, jit_compile=True)  # for each shape again: seconds
    _compare(goldens, compiled, manifest, "compiled by XLA")


def _compare(goldens: Sequence[Golden], predict: Predict, manifest: Manifest, what: str) -> None:
    """Runs goldens as one batch. Raises ArtifactError if an output is not what training computed."""
    inputs = manifest.endpoint.inputs
    examples = [
        Example(
            golden.source,
            {n: np.array(golden.inputs[n], spec.dtype) for n, spec in inputs.items() if n in golden.inputs},
        )
        for golden in goldens
    ]
    outputs = predict(collate(examples).inputs)
    for row, golden in enumerate(goldens):
        for output, values in golden.outputs.items():
            expected, computed = np.asarray(values), outputs[output][row]
            if expected.ndim:
                computed = computed[: len(expected)]  # without padding
            if not np.allclose(computed, expected, *manifest.tolerance(output, OF_FLOATS)):
                raise ArtifactError(f"{manifest.name}, {what}, gives another {output} for {golden.source!r}")
