"""Prints tables of model versions and of their metrics."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.artifact.manifest import read_manifest
from service.errors import NotPossible
from service.settings import Settings
from service.store.registry import Registry
from service.store.serving import Serving, ServingController, resolve
from service.store.serving_config import read_serving
from service.types import ModelKey

PINNED = (
    "{name} stays at version {version}, also when there are newer ones: tagwerk models use {name} follows the newest"
)
UNDECIDED = "{name} is the default for {task}, the first by name, as long as none is set: tagwerk models default MODEL"
NOT_LOADED = "{name} is the default for {task}, and is not loaded: requests for {task} that name no model get 404"


def list_models(settings: Settings) -> int:
    """Prints the versions in the store, with their states and shares; returns 1 if one is refused.

    Verifies the files of each version once.
    """
    registry = Registry(settings.model_store, settings.model_signers)
    config = read_serving(settings)
    serving = resolve(registry, config)
    refused = dict(serving.refused)
    in_store = [key for keys in registry.keys().values() for key in keys]
    refused |= {key: reason for key in in_store if (reason := registry.fault(key))}
    table = make_table("model", "version", "state", "share", "default", "reason")
    for key in dict.fromkeys((*in_store, *refused)):
        add_row(table, key.name, key.version, *_standing(key, serving, refused))
    console = Console()
    console.print(table)
    for name in sorted(config.models.keys() & registry.keys().keys()):
        if (version := config.models[name].version) is not None:
            console.print(Text(PINNED.format(name=name, version=version)), soft_wrap=True)
    loaded = {key.name for key in serving.shares}
    for task, name in sorted(serving.defaults.items()):
        note = NOT_LOADED if name not in loaded else UNDECIDED if task not in config.defaults else None
        if note is not None:
            console.print(Text(note.format(name=name, task=task)), soft_wrap=True)
    return 1 if refused else 0


def _standing(key: ModelKey, serving: Serving, refused: Mapping[ModelKey, str]) -> tuple[str, str, str, str]:
    """Returns a version's state, its share, the tasks whose default it is, and the reason of a refusal."""
    if key in refused:
        return "refused", "", "", refused[key]
    share = serving.shares.get(key)
    if share is None:
        return "not loaded", "", "", ""
    defaults = [task for task, name in serving.defaults.items() if name == key.name]
    return "serves" if share else "on request", f"{share:.0%}", ", ".join(defaults if share else ()), ""


def show_model(model: str, settings: Settings) -> int:
    """Prints the description and the metrics of a version, by default of the one that serves; returns 0.

    Raises ModelNotFound for what is not in the store, NotPossible for an invalid version.
    """
    controller = ServingController(settings)
    name, _, version = model.partition("/")
    controller.check(name, version or None)
    chosen = version or controller.serving(name)
    if chosen is None:
        raise NotPossible(f"no version of {name} is valid: see tagwerk models")
    manifest = read_manifest(settings.model_store / name / chosen)
    facts = {
        "task": manifest.task,
        "language": manifest.language,
        "recipe": manifest.recipe,
        "created": manifest.created.isoformat(timespec="seconds"),
        "licence": manifest.licence,
    }
    console = Console()
    console.print(Text(f"{name}/{chosen}: {manifest.description}"), soft_wrap=True)
    for fact, value in facts.items():
        console.print(Text(f"{fact}: {value}"), soft_wrap=True)
    table = make_table("split", "metric", "value", "unit")
    for metric in manifest.metrics:
        add_row(table, metric.split, metric.name, f"{metric.value:g}", metric.unit)
    console.print(table)
    return 0


def make_table(*columns: str) -> Table:
    """Returns a table without rules. Values that do not fit are wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add_row(table: Table, *values: str) -> None:
    """Adds a row of plain text."""
    table.add_row(*map(Text, values))
