"""The command `tagwerk keys`: manages API keys."""

import argparse
from pathlib import Path

from service.errors import ConfigurationError, quantity
from service.security.keys import add_key, read_keys, remove_key
from service.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    actions.add_parser("list", help="list the keys (the default)")
    add = actions.add_parser("add", help="add a key, and print it; it is not stored elsewhere")
    add.add_argument("id", help="a name for it, which is logged")
    add.add_argument("--scopes", default="infer", help="infer, feedback, admin, comma-separated (default: infer)")
    add.add_argument("--rate", type=float, help="requests per second")
    add.add_argument("--tokens", type=float, help="tokens per second, of texts and generated")
    add.add_argument("--concurrent", type=int, help="concurrent requests")
    remove = actions.add_parser("remove", help="remove a key; takes effect within a second")
    remove.add_argument("id", help="its name")


def run(parsed: argparse.Namespace, settings: Settings) -> int:
    """Runs the command; returns its exit status. Raises ConfigurationError."""
    if not settings.api_keys_file:
        raise ConfigurationError("set TAGWERK_API_KEYS_FILE to the file of the keys")
    path = Path(settings.api_keys_file)
    if parsed.action == "add":
        scopes = [scope.strip() for scope in parsed.scopes.split(",")]
        limits = {"requests_per_second": parsed.rate, "tokens_per_second": parsed.tokens}
        print(add_key(path, parsed.id, scopes, concurrent=parsed.concurrent, **limits))
    elif parsed.action == "remove":
        remove_key(path, parsed.id)
        print(f"{parsed.id} is removed")
    else:
        for key in read_keys(path):
            requests, tokens = key.requests_per_second, key.tokens_per_second
            rate = f", {quantity(requests, 'request', 'g')} a second" if requests else ""
            rate += f", {quantity(tokens, 'token', 'g')} a second" if tokens else ""
            concurrent = f", {key.concurrent} at the same time" if key.concurrent else ""
            print(f"{key.id}  {', '.join(sorted(key.scopes))}{rate}{concurrent}")
    return 0
