"""The command `tagwerk`."""

import argparse
import gc
import logging
import os
import socket
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from typing import Any

from pydantic.fields import FieldInfo

from service import commands
from service.errors import ConfigurationError, TagwerkError
from service.files import silence_standard_output
from service.settings import Settings, load_settings, unknown_variables, variable
from service.telemetry import logs

log = logging.getLogger("tagwerk")
SERVING = ("serve", "fork-server")
# The module that adds the arguments of a command and runs it, imported for that command alone; what the command does.
COMMANDS = {
    "annotate": ("annotate.job", "tag or classify the texts of files, without a server"),
    "models": ("models", "list and verify the models in the store, select the versions that serve"),
    "keys": ("keys", "list, add and remove the keys in TAGWERK_API_KEYS_FILE"),
    "corrections": ("corrections", "list, count and export the corrections in TAGWERK_FEEDBACK_DIR"),
}
DESTINATION = "option_"  # before the name of an option in the parsed arguments


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    parsed = parse(arguments)
    try:
        export_options(parsed)
        settings = load_settings()
        logs.set_up(settings, waits=parsed.command != "serve")
        if parsed.command != "fork-server":
            warn_of_unknown_variables()
        status = run(parsed, settings)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # nothing reads the output any more, as behind `| head`
        if parsed.command in SERVING:
            raise
        silence_standard_output()
        return 1
    except TagwerkError as error:
        for line in str(error).splitlines():
            print(f"tagwerk: {line}", file=sys.stderr)
        permanent = isinstance(error, ConfigurationError) and parsed.command == "fork-server"
        return ConfigurationError.EXIT_STATUS if permanent else 1
    except KeyboardInterrupt:  # before the command has begun with what it would go on with
        return 130


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="tagwerk",
        description="Part-of-speech tags, sentiment and generated text over HTTP.",
        epilog="Options are environment variables, TAGWERK_..., or arguments: see tagwerk serve --help.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tagwerk {version('tagwerk')}")
    added = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = added.add_parser(
        "serve",
        help="serve the models in the model store",
        usage="%(prog)s [OPTION VALUE]...",
        description="Serve the models in the model store.",
        allow_abbrev=False,
    )
    add_options(serve)
    added.add_parser("health", help="check whether the service at TAGWERK_HOST and TAGWERK_PORT is ready")
    given = sys.argv[1:] if arguments is None else arguments
    for name, (_, about) in COMMANDS.items():
        command = added.add_parser(name, help=about)
        if name in given[:1]:
            module_of(name).add_arguments(command)
    fork_server = added.add_parser("fork-server")  # started by the supervisor alone
    fork_server.add_argument("files", type=int, nargs=5)
    return parser.parse_args(given)


def warn_of_unknown_variables() -> None:
    """Logs a warning for each environment variable that looks like an option and is none."""
    for name, nearest in unknown_variables(os.environ).items():
        log.warning("%s is not an option%s", name, f"; the nearest is {nearest}" if nearest else ": see --help")


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Runs a parsed command."""
    if parsed.command in COMMANDS:
        status: int = module_of(parsed.command).run(parsed, settings)
        return status
    if parsed.command == "health":
        from service.commands import health

        return health.run(settings)
    if parsed.command == "serve":
        from service.process.acceptor import open_socket
        from service.process.supervisor import Supervisor

        return Supervisor(settings, open_socket(settings.host, settings.port)).run()

    gc.disable()  # a fifth of what the imports take; server processes enable it
    from service.text.spacy_subset import import_without_commands

    import_without_commands()
    from service.process.fork_server import Inherited
    from service.process.server_process import run_fork_server

    *files, requests = parsed.files
    return run_fork_server(settings, socket.socket(fileno=requests), Inherited(*files))


def module_of(command: str) -> Any:
    """Imports the module of a command."""
    return import_module(f"{commands.__name__}.{COMMANDS[command][0]}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds an argument for each option of the service: `--port`, for TAGWERK_PORT."""
    group = parser.add_argument_group(
        "options of the service", "Each may be set by its environment variable instead; an argument takes precedence."
    )
    for name, field in Settings.model_fields.items():
        about = f"{field.description} ({variable(name)}; default: {default_of(field) or 'empty'})".replace("%", "%%")
        metavar = name.rpartition("_")[2].upper()
        group.add_argument(f"--{name.replace('_', '-')}", dest=DESTINATION + name, metavar=metavar, help=about)


def default_of(field: FieldInfo) -> str:
    """Returns the default of an option as it is written in an environment variable."""
    return ",".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)


def export_options(parsed: argparse.Namespace) -> None:
    """Sets the environment variables of the options that were given, which child processes inherit."""
    for destination, value in vars(parsed).items():
        if destination.startswith(DESTINATION) and value is not None:
            os.environ[variable(destination.removeprefix(DESTINATION))] = value


if __name__ == "__main__":
    sys.exit(main())
