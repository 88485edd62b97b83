"""Writes a model version: SavedModel, vocabularies, goldens, model card, manifest; checked before it is renamed."""

import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from service import artifact
from service.artifact import Golden, Manifest, Metric
from service.errors import ArtifactError
from training.config import Recipe
from training.dataset import Array, Example, collate
from training.tasks.base import Part, Predict, Task

TOLERANCE = 1e-5  # of a golden, once written, absolute and relative


def export(task: Task, model: keras.Model, metrics: Iterable[Metric], store: Path) -> Path:
    """Writes the next version of a model to the store. Raises ArtifactError if it does not compute its goldens.

    Returns:
        The folder of the version.
    """
    recipe = task.recipe
    with artifact.new_version(store, recipe.name) as (folder, version):
        _write_saved_model(task, model, folder / artifact.SAVED_MODEL)
        for name, vocabulary in task.vocabularies.items():
            vocabulary.write(folder / f"{name}.json")
        if task.dictionary is not None:
            task.dictionary.write(folder / artifact.DICTIONARY)
        artifact.write_goldens(folder, (_golden(task, model, example) for example in task.goldens()))
        manifest = Manifest(
            name=recipe.name,
            version=version,
            task=task.kind,
            description=recipe.description,
            language=recipe.language,
            recipe=recipe.name,
            seed=recipe.seed,
            command=_command(recipe),
            created=datetime.now(UTC).replace(microsecond=0),
            licence=recipe.licence,
            data=task.data,
            metrics=tuple(metrics),
            endpoints={task.endpoint_name: task.endpoint}
            | {name: part.endpoint for name, part in task.parts(model).items()},
            labels=task.labels,
            vocabularies={name: f"{name}.json" for name in task.vocabularies},
            tokenizer=task.tokenizer,
            lengths=dict(sorted(task.lengths.items())),
            length_buckets=task.length_buckets,
            frameworks={
                "python": platform.python_version(),
                "tensorflow": tf.__version__,
                "keras": keras.__version__,
            },
            files={},
        )
        (folder / artifact.MODEL_CARD).write_text(_model_card(task, manifest), encoding="utf-8")
        artifact.write_manifest(folder, manifest.model_copy(update={"files": artifact.checksums(folder)}))
        _check(folder)
    return store / recipe.name / version


def _command(recipe: Recipe) -> str:
    teach = f"tagwerk-train teach {recipe.teacher} && " if recipe.teacher else ""
    return f"{teach}tagwerk-train train {recipe.name}"


def load_endpoint(folder: Path, name: str, *, jit_compile: bool = False) -> Predict:
    """Returns the endpoint of an exported SavedModel, NumPy in and out."""
    loaded = tf.saved_model.load(str(folder / artifact.SAVED_MODEL))
    signature = loaded.signatures[name]
    run: Callable[..., Any] = tf.function(signature, jit_compile=True) if jit_compile else signature

    def predict(inputs: Any) -> dict[str, Array]:
        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        _ = loaded  # it owns the variables
        return {name: output.numpy() for name, output in run(**tensors).items()}

    return predict


def _write_saved_model(task: Task, model: keras.Model, folder: Path) -> None:
    """Saves the endpoints alone, with the weights that they use: no layers, no optimizer."""
    whole = Part(task.endpoint, lambda **inputs: task.predict(model, inputs))
    signatures = {
        name: tf.function(part.compute).get_concrete_function(**_signature(part.endpoint))
        for name, part in {task.endpoint_name: whole, **task.parts(model)}.items()
    }
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    tf.saved_model.save(module, str(folder), signatures=signatures)


def _signature(endpoint: artifact.Endpoint) -> dict[str, Any]:
    """Returns the inputs of an endpoint as TensorFlow describes them: named axes are left open."""
    return {
        name: tf.TensorSpec([axis if isinstance(axis, int) else None for axis in spec.axes], spec.dtype, name=name)
        for name, spec in endpoint.inputs.items()
    }


def _golden(task: Task, model: keras.Model, example: Example) -> Golden:
    """Returns what Keras computes, eagerly, for one example alone."""
    outputs = task.predict(model, collate([example]).inputs)
    return Golden(
        source=example.source,
        inputs={name: array.tolist() for name, array in example.inputs.items()},
        outputs={name: np.round(output.numpy()[0].astype(float), 6).tolist() for name, output in outputs.items()},
    )


def _check(folder: Path) -> None:
    """Reads a version back as the service does, and computes its goldens as a graph and by XLA."""
    manifest = artifact.read_manifest(folder)
    artifact.verify_files(folder, manifest)
    artifact.read_vocabularies(folder, manifest)
    name, endpoint = manifest.endpoint_name, manifest.endpoint
    for jit_compile in (False, True):
        predict = load_endpoint(folder, name, jit_compile=jit_compile)
        for golden in artifact.read_goldens(folder):
            inputs = {
                name: np.array(golden.inputs[name], spec.dtype)
                for name, spec in endpoint.inputs.items()
                if name in golden.inputs
            }
            outputs = predict(collate([Example(golden.source, inputs)]).inputs)
            for output, expected in golden.outputs.items():
                if not np.allclose(outputs[output][0], expected, rtol=TOLERANCE, atol=TOLERANCE):
                    how = "compiled by XLA" if jit_compile else "loaded back"
                    raise ArtifactError(f"{manifest.name}, {how}, gives another {output} for {golden.source!r}")


def _model_card(task: Task, manifest: Manifest) -> str:
    settings = json.dumps(asdict(task.recipe), indent=2, ensure_ascii=False)
    data = "\n".join(f"- {d.name}, {d.licence}: <{d.address}>, sha256 `{d.sha256}`" for d in manifest.data)
    metrics = "\n".join(f"| {m.split} | {m.name} | {m.value:g} {m.unit} |" for m in manifest.metrics)
    labels = "\n".join(f"- {name}: {len(labels)} labels" for name, labels in manifest.labels.items())
    vocabularies = "\n".join(
        f"- {name}: {len(vocabulary):,} ids{', lower case' if vocabulary.lowercase else ''}"
        for name, vocabulary in task.vocabularies.items()
    )
    and_lesson = " and what the teacher has read" if task.recipe.teacher else " alone"
    return f"""# {manifest.name}, version {manifest.version}

{manifest.description}. Language: {manifest.language}. Licence: {manifest.licence}.

## Figures

| split | metric | value |
| --- | --- | --- |
{metrics}

The epoch was chosen by {task.chosen_by} on dev; the run used the test split once, at its end.

## Data

{data}

## Limits

{task.recipe.limits}

## How to make it again

`{manifest.command}` with seed {manifest.seed}, Python {manifest.frameworks["python"]}, TensorFlow \
{manifest.frameworks["tensorflow"]}, Keras {manifest.frameworks["keras"]}.

Vocabularies and labels, from the train split{and_lesson}:

{vocabularies}
{labels}

Settings of the recipe:

```json
{settings}
```
"""
