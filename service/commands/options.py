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
        argument, destination = f"--{name.replace('_', '-')}", DESTINATION + name
        if field.annotation is bool:
            action = argparse.BooleanOptionalAction
            group.add_argument(argument, dest=destination, action=action, default=None, help=about)
        else:
            group.add_argument(argument, dest=destination, metavar=name.rpartition("_")[2].upper(), help=about)


def default_of(field: FieldInfo) -> str:
    """Returns the default of an option as it is written in an environment variable."""
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return ",".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)


def export_options(parsed: argparse.Namespace) -> None:
    """Sets the environment variables of the options that were given, which child processes inherit."""
    for destination, value in vars(parsed).items():
        if destination.startswith(DESTINATION) and value is not None:
            text = str(value).lower() if isinstance(value, bool) else value
            os.environ[variable(destination.removeprefix(DESTINATION))] = text
