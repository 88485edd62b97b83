"""A store of tiny models: taggers, versions that answer the same text differently, and a classifier."""

import json
import shutil
from pathlib import Path

import keras
import pytest

from tests.training import tiny
from training.run import export
from training.tasks.base import ServedTask

NAME = "tagger-tiny"


def make_versions(store: Path) -> None:
    """Writes versions 1 and 2 of a tagger, each of another seed, and a classifier: networks before training."""
    export_untrained(store, *(tiny.tagging(seed=seed) for seed in (1, 2)), tiny.sentiment())


def export_untrained(store: Path, *tasks: ServedTask) -> None:
    """Writes a version of each task, with the weights that its seed begins with.

    Services check the goldens of what they load: the exporter's own check, half of its time, is left out.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "check_version", lambda folder: None)
        for task in tasks:
            keras.utils.set_random_seed(task.recipe.seed)
            export.export(task, task.network(), [], store)


def copy_version(source: Path, folder: Path) -> Path:
    """Copies a version folder into its place in another store, under the name and version that the place says."""
    scratch = folder.parent / f".{folder.name}.partial"
    shutil.copytree(source, scratch)
    manifest = json.loads((scratch / "manifest.json").read_text())
    (scratch / "manifest.json").write_text(json.dumps(manifest | {"name": folder.parent.name, "version": folder.name}))
    return scratch.rename(folder)
