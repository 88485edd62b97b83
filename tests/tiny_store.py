"""A store of tiny taggers: versions that answer the same text differently."""

import json
import shutil
from pathlib import Path

from tests.training import tiny
from training import export

NAME = "tagger-tiny"


def make_versions(store: Path, count: int) -> Path:
    """Writes versions 1 to `count`, networks as they are before training, each with another seed."""
    for seed in range(1, count + 1):
        task = tiny.tagging(seed=seed)
        export.export(task, task.network(), [], store)
    return store


def copy_version(source: Path, folder: Path) -> Path:
    """Copies a version folder into its place in another store, under the version that the place says."""
    scratch = folder.parent / f".{folder.name}.partial"
    shutil.copytree(source, scratch)
    manifest = json.loads((scratch / "manifest.json").read_text())
    (scratch / "manifest.json").write_text(json.dumps(manifest | {"version": folder.name}))
    return scratch.rename(folder)
