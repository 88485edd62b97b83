"""The command `tagwerk`."""

import argparse
import logging
import os
import socket
import sys
from collections.abc import Sequence
from importlib.metadata import version

from service.commands import keys, models
from service.commands.annotate import arguments as arguments_of_annotate
from service.commands.options import add_options, export_options
from service.errors import ConfigurationError, TagwerkError
from service.process.listening import log_address, open_socket
from service.settings import Settings, load_settings, unknown_variables
from service.telemetry import logs

log = logging.getLogger("tagwerk")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns its exit status."""
    parsed = parse(arguments)
    try:
        export_options(parsed)
        settings = load_settings()
        logs.set_up(settings)
        if not is_child(parsed):
            warn_of_unknown_variables()
        return run(parsed, settings)
    except TagwerkError as error:
        for line in str(error).splitlines():
            print(f"tagwerk: {line}", file=sys.stderr)
        permanent = isinstance(error, ConfigurationError) and parsed.command in ("api", "engine")
        return ConfigurationError.EXIT_STATUS if permanent else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parses the command line."""
    parser = argparse.ArgumentParser(
        prog="tagwerk",
        description="Part-of-speech tags, sentiment and generated text over HTTP.",
        epilog="Options are environment variables, TAGWERK_..., or arguments: see tagwerk serve --help.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tagwerk {version('tagwerk')}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve, api, engine = (
        commands.add_parser(
            name,
            help=about,
            usage="%(prog)s [OPTION VALUE]...",
            description=f"{about[0].upper()}{about[1:]}.",
            allow_abbrev=False,
        )
        for name, about in (
            ("serve", "serve the models in the model store"),
            ("api", "serve HTTP only, with an engine at TAGWERK_ENGINE_ADDRESS"),
            ("engine", "run the models only, at TAGWERK_ENGINE_ADDRESS"),
        )
    )
    health = commands.add_parser("health", help="check whether the service at TAGWERK_HOST and TAGWERK_PORT is ready")
    health.add_argument("--engine", action="store_true", help="the engine at TAGWERK_ENGINE_ADDRESS instead")
    annotate = commands.add_parser("annotate", help="tag or classify the texts of files, without a server")
    arguments_of_annotate.add_arguments(annotate)
    models.add_parser(commands)
    keys.add_parser(commands)
    for command in (serve, api, engine):
        add_options(command)
    api.add_argument("--socket", type=int, help=argparse.SUPPRESS)  # a listening socket, from the supervisor
    api.add_argument("--rate-limiter", type=int, help=argparse.SUPPRESS)  # a file that the workers share
    api.add_argument("--number", type=int, default=0, help=argparse.SUPPRESS)  # of the worker
    api.add_argument("--lifeline", type=int, help=argparse.SUPPRESS)  # closes when the supervisor dies
    engine.add_argument("--channel", type=int, help=argparse.SUPPRESS)  # to the supervisor
    engine.add_argument("--standby", action="store_true", help=argparse.SUPPRESS)  # until the supervisor needs it
    parsed = parser.parse_args(arguments)
    if parsed.command == "annotate":
        arguments_of_annotate.check(annotate, parsed)
    return parsed


def is_child(parsed: argparse.Namespace) -> bool:
    """Returns whether the supervisor has started this process."""
    return getattr(parsed, "lifeline", None) is not None or getattr(parsed, "channel", None) is not None


def warn_of_unknown_variables() -> None:
    """Logs a warning for each environment variable that looks like an option and is none."""
    for name, nearest in unknown_variables(os.environ).items():
        log.warning("%s is not an option%s", name, f"; the nearest is {nearest}" if nearest else ": see --help")


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Runs a parsed command."""
    if parsed.command == "models":
        return models.run(parsed, settings)
    if parsed.command == "health":
        from service.commands import health

        return health.report(health.of_engine(settings) if parsed.engine else health.of_service(settings))
    if parsed.command == "annotate":
        return arguments_of_annotate.run(parsed, settings)
    if parsed.command == "keys":
        return keys.run(parsed, settings)
    if parsed.command == "engine" and parsed.channel is not None:
        from service.process.engine_process import run_engine

        return run_engine(settings, socket.socket(fileno=parsed.channel), parsed.standby)
    if parsed.command in ("api", "engine"):
        settings.require_engine_address()
    if parsed.command in ("serve", "engine"):
        from service.process.supervisor import supervise

        return supervise(settings, None if parsed.command == "engine" else open_socket(settings.host, settings.port))

    from service.process import workers
    from service.security.rate_limiter import RateLimiter

    if parsed.lifeline is not None:
        workers.terminate_with(parsed.lifeline)
    inherited = None if parsed.socket is None else socket.socket(fileno=parsed.socket)
    listening = inherited or open_socket(settings.host, settings.port)
    if inherited is None:
        log_address(listening)
    return workers.run_worker(settings, listening, RateLimiter(parsed.rate_limiter, parsed.number))


if __name__ == "__main__":
    sys.exit(main())
