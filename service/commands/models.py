"""The command `tagwerk models`: lists and describes the versions in the store, and selects those that serve."""

import argparse
import re
from pathlib import Path
from typing import Any

from service.artifact.manifest import SIGNATURE
from service.artifact.signing import sign
from service.commands.model_tables import PINNED, list_models, show_model
from service.errors import ModelNotFound
from service.settings import Settings
from service.store.registry import Registry
from service.store.serving import ServingController
from service.types import ModelKey

FOLLOWS = "a service that uses the store follows within TAGWERK_STORE_INTERVAL_SECONDS"
MISSING = " once it is in the store"
CHECKED = (
    "Files were checked here; goldens run when an engine loads a version: GET /models says whether it is refused then."
)


def add_parser(commands: Any) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "models", help="list and verify the models in the store, select the versions that serve"
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="list the versions, and verify their files (the default)")
    show = actions.add_parser("show", help="describe a version, with its metrics")
    show.add_argument("model", help="tagger-en/3; tagger-en alone is the version that serves")
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
    if parsed.action == "show":
        return show_model(parsed.model, settings)
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
    if parsed.action == "use":
        config = controller.use(name, version or None)
    elif parsed.action == "rollback":
        config = controller.roll_back(name)
    else:
        config = controller.canary(name, version, parsed.share)
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
