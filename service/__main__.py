"""The command `tagwerk`."""

import argparse
import logging
import sys
from collections.abc import Sequence

from service.errors import TagwerkError
from service.settings import Settings, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="tagwerk",
        description="Part-of-speech tags, sentiment and generated text over HTTP.",
        epilog="Options are environment variables, TAGWERK_…: see docs/operations.md.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("serve", help="serve the models in the model store")
    commands.add_parser("models", help="list the models in the store, and check their files")
    command = parser.parse_args(arguments).command
    try:
        settings = load_settings()
        logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        return serve(settings) if command == "serve" else list_models(settings)
    except TagwerkError as error:
        print(f"tagwerk: {error}", file=sys.stderr)
        return 1


def serve(settings: Settings) -> int:
    """Serves until it is told to stop."""
    from service.api.server import run_server

    return run_server(settings)


def list_models(settings: Settings) -> int:
    """Prints the models of the store; the status is 1 where one is broken."""
    from service.registry import scan

    versions, refused = scan(settings.model_store)
    for version in versions:
        metrics = ", ".join(f"{m.name} {m.value:g} {m.unit} ({m.split})" for m in version.manifest.metrics)
        print(f"{version.key}  {version.manifest.task}  {metrics}")
    for state in refused:
        print(f"{state.key}  refused: {state.reason}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
