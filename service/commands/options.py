"""The options of the service as arguments of a command."""

import argparse
import os

from pydantic.fields import FieldInfo

from service.settings import Settings, variable

DESTINATION = "option_"  # before the name of an option in the parsed arguments


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
