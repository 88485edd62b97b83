"""The import of spaCy without its command line, which server processes do."""

import subprocess
import sys

PROGRAM = """
import sys
from service.text.spacy_subset import import_without_commands
import_without_commands()
assert "requests" not in sys.modules, "the command line is not imported"
from service.text.languages import named_tokenizer
print(*(token.text for token in named_tokenizer("spacy-fr").tokens("L'été est là.")))
from spacy.cli.info import info
print(info.__module__)
"""


def test_a_process_tokenizes_without_the_command_line_and_can_import_it_later():
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout == "L' été est là .\nspacy.cli.info\n"


def test_a_program_that_has_imported_spacy_keeps_it():
    import spacy

    from service.text.spacy_subset import import_without_commands

    import_without_commands()
    assert callable(spacy.info)
