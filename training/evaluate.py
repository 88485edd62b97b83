"""Measures what was trained: a network before it is exported, and an exported version, with the same code."""

from collections.abc import Iterable
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from service import artifact
from service.artifact import Metric
from service.errors import ArtifactError
from training.config import load_recipe
from training.export import load_endpoint


def evaluate(store: Path, name: str) -> tuple[artifact.Manifest, tuple[Metric, ...]]:
    """Measures the newest version of a model on the test split, through its SavedModel alone."""
    folder = newest_version(store, name)
    manifest = artifact.read_manifest(folder)
    artifact.verify_files(folder, manifest)
    task = load_recipe(manifest.recipe).task()
    vocabularies = artifact.read_vocabularies(folder, manifest)
    same = {name: v.entries for name, v in vocabularies.items()} == {
        name: v.entries for name, v in task.vocabularies.items()
    }
    if not same or manifest.labels != task.labels:
        raise ArtifactError(f"{folder} was made from other data or by another recipe than {manifest.recipe} is now")
    return manifest, task.evaluate(load_endpoint(folder, task.endpoint_name), "test")


def newest_version(store: Path, name: str) -> Path:
    """Returns the folder of the highest version. Raises ArtifactError if there is none."""
    versions = [path for path in (store / name).glob("*") if path.name.isdecimal()]
    if not versions:
        raise ArtifactError(f"no version of {name!r} in {store}")
    return max(versions, key=lambda path: int(path.name))


def show(console: Console, title: str, metrics: Iterable[Metric]) -> None:
    """Prints metrics as a table."""
    table = Table("split", "metric", title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("value", justify="right")
    for metric in metrics:
        table.add_row(metric.split, metric.name, f"{metric.value:g} {metric.unit}".rstrip())
    console.print(table)
