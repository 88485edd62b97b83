"""Imports spaCy without its command line, which has a third of its modules and of the time of its import.

This is for the service's own processes: in others `import spacy` must give a program all of it.
"""

import sys
from types import ModuleType, SimpleNamespace
from typing import cast

COMMANDS = "spacy.cli"


def import_without_commands() -> None:
    """Imports spaCy, unless it has been imported; `spacy.info` is None then."""
    if "spacy" in sys.modules:
        return
    info = f"{COMMANDS}.info"
    sys.modules[COMMANDS] = ModuleType(COMMANDS)
    sys.modules[info] = cast(ModuleType, SimpleNamespace(info=None))  # all that spaCy imports of its command line
    try:
        import spacy  # noqa: F401
    finally:
        del sys.modules[COMMANDS], sys.modules[info]
