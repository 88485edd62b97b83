"""Exports a model version: SavedModel, vocabularies, goldens, model card and manifest, checked before the rename."""

import platform
import shutil
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from service.artifact import manifest as artifact
from service.artifact.manifest import CONFIDENCE_BINS, Manifest, Metric, Reference
from service.backend.tensorflow_private import reproducible_names
from service.errors import ConfigurationError
from service.text.vocabulary import PAD, UNK
from training.run import version_folder
from training.run.goldens import check_version, golden_of
from training.run.loop import on_arrays
from training.run.model_card import model_card
from training.run.versions import commands_of
from training.tasks.base import Predict, Recipe, ServedTask
from training.tasks.endpoints import EndpointFunction


def export(
    task: ServedTask, model: keras.Model, metrics: Iterable[Metric], store: Path, commands: Sequence[str] = ()
) -> Path:
    """Writes the next version of a model to the store.

    Args:
        commands: the command lines that make the model from the start, one after the other; by default the one that
            trains its recipe.

    Returns:
        The folder of the version.

    Raises:
        ArtifactError: if it does not compute its goldens.
    """
    recipe, model, commands = task.recipe, task.served(model), commands or [_command(task.recipe)]
    with version_folder.new_version(store, recipe.name) as (folder, version):
        for name, vocabulary in task.vocabularies.items():
            version_folder.write_vocabulary(folder / f"{name}.json", vocabulary)
        if task.lemmatizer is not None:
            task.lemmatizer.write(folder / artifact.LEMMAS)
        version_folder.write_goldens(folder, (golden_of(task, model, example) for example in task.goldens()))
        manifest = Manifest(
            name=recipe.name,
            version=version,
            task=task.kind,
            description=recipe.description,
            language=recipe.language,
            recipe=recipe.name,
            seed=recipe.seed,
            command=commands[-1],
            created=_now(),
            licence=recipe.licence,
            data=tuple(dict.fromkeys(task.data)),
            metrics=tuple(metrics),
            endpoints=_endpoints(task, model),
            labels=task.labels,
            vocabularies={name: f"{name}.json" for name in task.vocabularies},
            tokenizer=task.tokenizer,
            lengths=dict(sorted(task.lengths.items())),
            length_buckets=task.length_buckets,
            precision=precision_of(model),
            frameworks={"python": platform.python_version(), "tensorflow": tf.__version__, "keras": keras.__version__},
            files={},
        )
        _write_rest(task, model, folder, manifest, commands)
    return store / recipe.name / version


def export_again(task: ServedTask, model: keras.Model, folder: Path, measured: Iterable[Metric] = ()) -> Path:
    """Exports a version again, as the next one, with the signatures of the present exporter.

    Vocabularies and metrics are the old version's, except the metrics that are `measured`; so are the goldens if
    both compute with the same precision. The segmenter is the task's. Raises ArtifactError if the new one does not
    compute the goldens, ConfigurationError if the precision changes and the task has no examples.

    Args:
        model: of the old version, as it is to be exported.

    Returns:
        The folder of the new version.
    """
    manifest, store, model = artifact.read_manifest(folder), folder.parent.parent, task.served(model)
    precision = precision_of(model)
    endpoints = _endpoints(task, model)
    with version_folder.new_version(store, manifest.name) as (new, version):
        kept = [*manifest.vocabularies.values()]
        if (precision, _table(endpoints)) == (manifest.precision, _table(manifest.endpoints)):
            kept += [artifact.GOLDENS, artifact.REFERENCE]
        elif examples := task.goldens():
            version_folder.write_goldens(new, (golden_of(task, model, example) for example in examples))
        else:
            fault = f"{manifest.name} was made of files, in {manifest.precision}, and would be in {precision} now"
            raise ConfigurationError(f"{fault}; right: train it again")
        for name in kept:
            if (folder / name).exists():
                shutil.copy(folder / name, new / name)
        if task.lemmatizer is not None:
            task.lemmatizer.write(new / artifact.LEMMAS)
        found = {(metric.split, metric.name): metric for metric in (*manifest.metrics, *measured)}
        changes = {
            "version": version,
            "created": _now(),
            "endpoints": endpoints,
            "precision": precision,
            "metrics": tuple(found.values()),
        }
        _write_rest(task, model, new, manifest.model_copy(update=changes), commands_of(folder))
    return store / manifest.name / version


def export_copy(task: ServedTask, folder: Path, measured: Iterable[Metric]) -> Path:
    """Exports a version with the task's lemmatizer and segmenter in place of its own, as the next one.

    Its network is copied.

    Args:
        measured: metrics, which replace the old version's.

    Returns:
        The folder of the new version.
    """
    manifest, store = artifact.read_manifest(folder), folder.parent.parent
    with version_folder.new_version(store, manifest.name) as (new, version):
        shutil.copytree(folder, new, dirs_exist_ok=True)
        if task.lemmatizer is not None:
            task.lemmatizer.write(new / artifact.LEMMAS)
        if task.segmenter is not None:
            version_folder.write_segmenter(new / artifact.SEGMENTER, task.segmenter)
        found = {(metric.split, metric.name): metric for metric in (*manifest.metrics, *measured)}
        data = dict.fromkeys((*manifest.data, *task.data))
        changes = {"version": version, "created": _now(), "metrics": tuple(found.values()), "data": tuple(data)}
        _describe(task, new, manifest.model_copy(update=changes), commands_of(folder))
    return store / manifest.name / version


def _write_rest(
    task: ServedTask, model: keras.Model, folder: Path, manifest: Manifest, commands: Sequence[str]
) -> None:
    """Writes what every version has beside its vocabularies and goldens, and checks it."""
    predict = _write_saved_model(task, model, folder / artifact.SAVED_MODEL)
    if task.segmenter is not None:
        version_folder.write_segmenter(folder / artifact.SEGMENTER, task.segmenter)
    if not (folder / artifact.REFERENCE).exists() and task.goldens():
        version_folder.write_reference(folder, reference(task, predict))
    _describe(task, folder, manifest, commands)
    check_version(folder)


def _describe(task: ServedTask, folder: Path, manifest: Manifest, commands: Sequence[str]) -> None:
    """Writes the model card, and the manifest with the checksums of all files that are there."""
    (folder / artifact.MODEL_CARD).write_text(model_card(task, manifest, commands), encoding="utf-8")
    version_folder.write_manifest(folder, manifest.model_copy(update={"files": version_folder.checksums(folder)}))


def reference(task: ServedTask, predict: Predict) -> Reference:
    """Returns what the main endpoint makes of the texts that others are compared with."""
    encoded, predictions = task.encoded(task.reference_split), task.predictions(predict, task.reference_split)
    counts = [len(given.gold) for given in predictions.values()] or [len(ids) for ids in encoded.values()]
    ends = np.linspace(0, 1, CONFIDENCE_BINS + 1)
    return Reference(
        items=max(counts, default=0),
        unknown={name: round(float(np.mean(ids[ids != PAD] == UNK)), 6) for name, ids in encoded.items()},
        labels={
            kind: {task.labels[kind][i]: int(n) for i, n in enumerate(np.bincount(given.labels)) if n}
            for kind, given in predictions.items()
        },
        confidence={
            kind: tuple(np.histogram(given.probabilities.max(axis=-1), ends)[0].tolist())
            for kind, given in predictions.items()
        },
    )


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def precision_of(model: keras.Model) -> artifact.Precision:
    """Returns the precision of a network's products of states."""
    return "int8" if any(weight.name.endswith("kernel_scale") for weight in model.weights) else "float32"


def _table(endpoints: Mapping[str, artifact.Endpoint]) -> str | None:
    """Returns the type of the products of words, None for a version without them."""
    project = endpoints.get("project")
    return project.outputs["projected"].dtype if project else None


def _endpoints(task: ServedTask, model: keras.Model) -> dict[str, artifact.Endpoint]:
    return {task.endpoint_name: task.endpoint} | {
        name: function.endpoint for name, function in task.served_endpoints(model).items()
    }


def _command(recipe: Recipe) -> str:
    teach = f"tagwerk-train teach {recipe.teacher} && " if recipe.teacher else ""
    return f"{teach}tagwerk-train train {recipe.name}"


def _write_saved_model(task: ServedTask, model: keras.Model, folder: Path) -> Predict:
    """Saves only the endpoints and the weights that they use, without layers and optimizer.

    Returns the main endpoint as it is saved.
    """
    whole = EndpointFunction(task.endpoint, lambda **inputs: task.predict(model, inputs))
    functions = {task.endpoint_name: whole, **task.served_endpoints(model)}
    shapes = [tuple(weight.shape) for weight in model.weights]
    with reproducible_names(f"{task.recipe.sizes} {shapes} {task.endpoint}", "exported"):  # if the first of a process
        signatures = {
            name: tf.function(function.compute, autograph=False).get_concrete_function(**_signature(function.endpoint))
            for name, function in functions.items()
        }
        module = tf.Module()
        module.weights = [weight.value for weight in model.weights]
        module.variables_of_parts = [
            variable.value for function in functions.values() for variable in function.variables
        ]
        tf.saved_model.save(module, str(folder), signatures=signatures)
    _remove_tensor_numbers(folder)
    return on_arrays(task, signatures[task.endpoint_name])


def _remove_tensor_numbers(folder: Path) -> None:
    """Removes the names of captured tensors, which TensorFlow numbers, so that graphs are the same to the byte."""
    file = folder / "saved_model.pb"
    saved = SavedModel.FromString(file.read_bytes())
    for function in saved.meta_graphs[0].graph_def.library.function:
        for argument in function.arg_attr.values():
            if argument.attr["_user_specified_name"].s.isdigit():
                del argument.attr["_user_specified_name"]
    file.write_bytes(saved.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink()  # of the file before


def _signature(endpoint: artifact.Endpoint) -> dict[str, Any]:
    """Returns the input signature of an endpoint; named axes have any size."""
    return {
        name: tf.TensorSpec([axis if isinstance(axis, int) else None for axis in spec.axes], spec.dtype, name=name)
        for name, spec in endpoint.inputs.items()
    }
