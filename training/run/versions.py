"""Reads exported model versions back: the manifest with its task, an endpoint, the network."""

import json
import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf.trackable_object_graph_pb2 import TrackableObjectGraph

from service.artifact import manifest as artifact
from service.errors import ArtifactError, ConfigurationError
from service.text.lemmatizer import LEMMA
from training.data.dataset import Array
from training.models.lemmatizer import LearnedLemmatizer
from training.recipes import load_recipe
from training.tasks.base import AnyRecipe, Predict, Recipe, ServedTask
from training.tasks.tagging import Tagging

SETTINGS = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)  # in the model card
COMMANDS = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def newest_version(store: Path, name: str) -> Path:
    """Returns the folder of the highest version. Raises ArtifactError if there is none."""
    versions = [path for path in (store / name).glob("*") if path.name.isdecimal()]
    if not versions:
        raise ArtifactError(f"no version of {name!r} in {store}")
    return max(versions, key=lambda path: int(path.name))


def version_folder(store: Path, name: str) -> Path:
    """Returns the folder of a version, "tagger-en/2", or of the newest one, "tagger-en". Raises ArtifactError."""
    model, _, version = name.partition("/")
    if not version:
        return newest_version(store, model)
    if not (version.isdecimal() and (store / model / version).is_dir()):
        raise ArtifactError(f"no version {version!r} of {model!r} in {store}")
    return store / model / version


def read_version(folder: Path, recipe: Recipe | None = None) -> tuple[artifact.Manifest, ServedTask]:
    """Returns the manifest and the task of a version.

    Args:
        recipe: has the corpora on which the version is measured; by default the one that made it.

    Raises ArtifactError if its labels are not the recipe's. Of a tagger, the parts of speech have to be among these;
    the train split of its treebank may have been mapped in another way, or may have had less of dev.
    """
    try:
        manifest = artifact.read_manifest(folder)
        artifact.verify_files(folder, manifest)
        vocabularies = artifact.read_vocabularies(folder, manifest)
        segmenter = artifact.read_segmenter(folder, manifest)
    except ArtifactError as error:
        raise ArtifactError(f"{folder}: {error}") from error
    try:
        recipe = recipe or load_recipe(manifest.recipe)
    except ConfigurationError:
        how = f"tagwerk-train evaluate {manifest.name} --data FILE"
        raise ArtifactError(f"{folder} was made of files, not by a recipe: {how}") from None
    task = recipe.task(vocabularies)
    assert isinstance(task, ServedTask)  # noqa: S101 (its version was exported)
    if isinstance(task, Tagging) and set(manifest.labels["upos"]) <= set(task.labels["upos"]):
        task = task.with_labels(manifest.labels) if manifest.labels != task.labels else task
    task.segmenter = segmenter
    task.length_buckets = manifest.length_buckets  # as it is served
    if LEMMA in manifest.labels:
        task.lemmatizer = LearnedLemmatizer.read(folder / artifact.LEMMAS, manifest.labels[LEMMA])
    if manifest.labels != task.labels:
        raise ArtifactError(f"{folder} was made from other data or by another recipe than {manifest.recipe} is now")
    return manifest, task


def settings_of(folder: Path) -> dict[str, Any]:
    """Returns the settings in the model card of a version."""
    found = SETTINGS.search((folder / artifact.MODEL_CARD).read_text(encoding="utf-8"))
    return json.loads(found[1]) if found else {}


def commands_of(folder: Path) -> tuple[str, ...]:
    """Returns the commands that make a version from the start, one after the other, as its model card has them."""
    found = COMMANDS.search((folder / artifact.MODEL_CARD).read_text(encoding="utf-8"))
    return tuple(found[1].splitlines()) if found else (artifact.read_manifest(folder).command,)


def recipe_as_made(recipe: AnyRecipe, folder: Path) -> AnyRecipe:
    """Returns a recipe with the numbers and texts that a version was made with, as its model card has them."""
    made = settings_of(folder)
    names = [field.name for field in fields(recipe) if isinstance(made.get(field.name), bool | int | float | str)]
    return replace(recipe, **{name: made[name] for name in names})


def load_endpoint(folder: Path, name: str, *, jit_compile: bool = False) -> Predict:
    """Loads an endpoint of an exported SavedModel, with NumPy inputs and outputs."""
    loaded = tf.saved_model.load(str(folder / artifact.SAVED_MODEL))
    signature = loaded.signatures[name]
    run: Callable[..., Any] = tf.function(signature, jit_compile=True) if jit_compile else signature

    def predict(inputs: Any) -> dict[str, Array]:
        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        _ = loaded  # keeps the owner of the variables alive
        return {name: output.numpy() for name, output in run(**tensors).items()}

    return predict


def exported_weights(folder: Path) -> list[tuple[str, Array]]:
    """Returns the weights of a version with their names, in the order of its network."""
    reader = tf.train.load_checkpoint(str(folder / artifact.SAVED_MODEL / "variables" / "variables"))
    graph = TrackableObjectGraph.FromString(reader.get_tensor("_CHECKPOINTABLE_OBJECT_GRAPH"))
    values = (value for node in graph.nodes for value in node.attributes)
    of_network = {v.checkpoint_key: v.full_name for v in values if v.checkpoint_key.startswith("weights/")}
    return [(name, reader.get_tensor(key)) for key, name in of_network.items()]


def restore(task: ServedTask, folder: Path) -> keras.Model:
    """Restores the network of a version, its weights as floats. Raises ArtifactError if one is missing."""
    return restored(task, task.network(), folder)


def restored(task: ServedTask, model: keras.Model, folder: Path) -> keras.Model:
    """Gives a new network of a task the weights of a version, as floats; returns it.

    Each weight takes the next exported one of its shape, which may be padded, and dtype, since the order of a layer's
    weights has changed between versions of this code. Raises ArtifactError if one is missing.
    """
    named = exported_weights(folder)
    integers = {"kernel" in name for name, value in named if value.dtype == np.int8}
    left = [value for _, value in named]
    if False in integers:
        task.compact(model)
    if True in integers:
        model.round_weights()
    for weight, padded in zip(model.weights, task.served(model).weights, strict=True):
        shapes = weight.shape, padded.shape
        fits = (i for i, v in enumerate(left) if v.shape in shapes and v.dtype == weight.value.dtype.as_numpy_dtype)
        if (place := next(fits, None)) is None:
            raise ArtifactError(f"{folder} has no weight of the shape {weight.shape}, which {weight.path} needs")
        weight.assign(left.pop(place)[tuple(map(slice, weight.shape))])
    if True in integers:
        model.restore_weights()
    return model
