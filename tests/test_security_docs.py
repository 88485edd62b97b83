"""docs/security.md names, for each limit, a test that there is, and has the figures of the code."""

import re

import pytest

from service.api import lines
from service.http import body, client_memory, representation, validation
from service.http.connection import starts
from service.pipelines import run
from service.process import acceptor
from tests.conftest import ROOT

FIGURES = {  # of a row, by its first words
    "names in `Accept`": f"the first {representation.MOST_NAMES}",
    "all that a process holds": f"{client_memory.MOST_BYTES >> 20} MiB",
    "texts that a process works on": f"{run.MEDIUM_CHARACTERS:,} characters",
    "connections of a process": f"{acceptor.MOST_CONNECTIONS}, or",
    "parsing of bodies": f"{body.LARGE_BYTES >> 10} KiB",
    "the description of an invalid request": f"the first {validation.MOST_ERRORS} errors",
    "a gzipped stream of lines": f"{body.MOST_RATIO} ×",
    "the `id` of a line": f"{lines.LONGEST_ID} characters",
    "lines of a stream in progress": f"{lines.MOST_BYTES >> 10} KiB",
    "lines of a stream that start": f"{lines.ITERATION_BYTES >> 10} KiB",
    "first requests of new connections": f"{starts.MOST_FIRST} are parsed",
    "a response of more than": f"{representation.CHUNK_BYTES >> 10} KiB",
    "connections accepted": f"| {acceptor.MOST_AT_ONCE} | accepted {acceptor.LEAVE_SECONDS * 1000:g} ms later |",
}


def limits() -> list[str]:
    """Returns the rows of the table of limits."""
    page = (ROOT / "docs" / "security.md").read_text()
    return re.findall(r"^\| .*\|$", page.split("## Limits")[1].split("\n## ")[0], re.MULTILINE)[2:]


def test_each_limit_has_a_test():
    rows = limits()
    tests = set(
        re.findall(
            r"^(?:async )?def (test_\w+)", "".join(f.read_text() for f in ROOT.glob("tests/**/test_*.py")), re.MULTILINE
        )
    )
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row)
        assert named, row
        assert tests.issuperset(named), row


@pytest.mark.parametrize(("beginning", "figure"), FIGURES.items())
def test_a_limit_has_the_figure_of_the_code(beginning, figure):
    (row,) = [row for row in limits() if row.startswith(f"| {beginning}")]
    assert figure in row
