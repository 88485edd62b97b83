"""The command `tagwerk models`: lists the versions in the store, and selects which of them serve."""

import argparse
import re
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.artifact.manifest import SIGNATURE
from service.artifact.signing import sign
from service.errors import ModelNotFound
from service.settings import Settings
from service.store.registry import Registry
from service.store.serving import Serving, ServingController, resolve
from service.store.serving_config import read_serving
from service.types import ModelKey

FOLLOWS = "a service that uses the store follows within TAGWERK_STORE_INTERVAL_SECONDS"
MISSING = " once it is in the store"
CHECKED = (
    "Files were checked here; goldens run when a process loads a version: GET /models says whether it is refused then."
)
PINNED = (
    "{name} stays at version {version}, also when there are newer ones: tagwerk models use {name} follows the newest"
)
UNDECIDED = "{name} is the default for {task}, the first by name, as long as none is set: tagwerk models default MODEL"
NOT_LOADED = "{name} is the default for {task}, and is not loaded: requests for {task} that name no model get 404"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="list the versions, and verify their files (the default)")
    use = actions.add_parser("use", help="serve a version, even if there are newer ones")
    use.add_argument("model", help="tagger-en/2; tagger-en alone follows the newest again")
    back = actions.add_parser("rollback", help="serve the previous valid version")
    back.add_argument("model", help="tagger-en")
    canary = actions.add_parser("canary", help="give a version a share of the requests")
    canary.add_argument("model", type=versioned, help="tagger-en/3; it need not exist yet")
    default = actions.add_parser("default", help="make a model the default of its task")
    default.add_argument("model", help="tagger-en")
    signed = actions.add_parser("sign", help="sign a version, for TAGWERK_MODEL_SIGNERS")
    signed.add_argument("model", type=versioned, help="tagger-en/3")
    signed.add_argument("key", type=Path, help="file with an Ed25519 private key (PEM)")
    canary.add_argument("share", type=share, help="0.1 is a tenth; 0 ends it")


def versioned(text: str) -> str:
    """Parses a model's name and version."""
    if not re.fullmatch(r"[^/]+/[0-9]+", text):
        raise argparse.ArgumentTypeError(f"name a version, as tagger-en/3, not {text!r}")
    return text


def share(text: str) -> float:
    """Parses a share."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"a share is from 0 to 1, not {text}")
    return value


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Runs the command; returns its exit status. Raises ConfigurationError, ModelNotFound, NotPossible."""
    if parsed.action in (None, "list"):
        return list_models(settings)
    if parsed.action == "sign":
        return sign_version(parsed.model, parsed.key, settings)
    return change_serving(parsed, ServingController(settings))


def change_serving(parsed: argparse.Namespace, controller: ServingController) -> int:
    """Writes a change of the serving config and prints its effect. Raises ModelNotFound, NotPossible."""
    name, _, version = parsed.model.partition("/")
    if parsed.action == "default":
        task, _ = controller.make_default(name)
        print(f"{name} answers requests for {task} that name no model; {FOLLOWS}")
        return 0
    config = controller.change(name, parsed.action, version or None, getattr(parsed, "share", 0.0))
    serving = controller.serving(name)
    print(f"{name}: {f'version {serving}' if serving else 'no version, since none is valid,'} serves; {FOLLOWS}")
    if config.canary is not None:
        there = controller.has(name, config.canary.version)
        print(f"{config.canary.share:.0%} of the requests go to {config.canary.version}{'' if there else MISSING}")
    if config.version is not None:
        print(PINNED.format(name=name, version=config.version))
    if serving is not None:
        print(CHECKED)
    return 0


def sign_version(model: str, key: Path, settings: Settings) -> int:
    """Signs a valid version. Raises ModelNotFound, ConfigurationError."""
    registry = Registry(settings.model_store)
    wanted = ModelKey(*model.split("/"))
    if reason := registry.fault(wanted):
        raise ModelNotFound(f"{model} is not signed: {reason}")
    sign(registry.folder(wanted), key)
    print(f"{registry.folder(wanted) / SIGNATURE} is written")
    return 0


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
    for key in dict.fromkeys((*in_store, *refused, *serving.awaited)):
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
    if key in serving.awaited:
        return "awaited", "", "", "it is not in the store yet"
    share = serving.shares.get(key)
    if share is None:
        return "not loaded", "", "", ""
    defaults = [task for task, name in serving.defaults.items() if name == key.name]
    return "serves" if share else "on request", f"{share:.0%}", ", ".join(defaults if share else ()), ""


def make_table(*columns: str) -> Table:
    """Returns a table without rules. Values that do not fit are wrapped."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def add_row(table: Table, *values: str) -> None:
    """Adds a row of plain text."""
    table.add_row(*map(Text, values))
