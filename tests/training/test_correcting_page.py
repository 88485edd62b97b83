"""The commands of docs/correcting.md are ones that the programs take."""

import re
import shlex

import pytest

from service import __main__ as service
from tests.conftest import ROOT
from training.__main__ import parser

PAGE = (ROOT / "docs" / "correcting.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if "tagwerk" in line.split("/")[0]]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_page_is_taken(line: str) -> None:
    program, *arguments = [word for word in shlex.split(line) if not word.startswith("TAGWERK_")]
    assert program in ("tagwerk", "tagwerk-train")
    assert parser().parse_args(arguments) if program == "tagwerk-train" else service.parse(arguments)
