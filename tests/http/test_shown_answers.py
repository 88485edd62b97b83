"""The answers that README shows are those that the shipped models give."""

import json
import re
import subprocess
from typing import Any

import pytest

from tests.conftest import ROOT, Server

COMMANDS = re.findall(
    r"^```\n(curl .*?)^```\n```(?:json)?\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)


def assert_same(given: Any, shown: Any) -> None:
    """Compares parsed JSON; a figure may be that of another processor, on which a state is rounded otherwise."""
    if isinstance(shown, dict):
        assert given.keys() == shown.keys()
        for name, value in shown.items():
            assert_same(given[name], value)
    elif isinstance(shown, list):
        assert len(given) == len(shown)
        for one, other in zip(given, shown, strict=True):
            assert_same(one, other)
    else:
        assert given == (pytest.approx(shown, abs=0.01) if isinstance(shown, float) else shown)


def test_the_readme_shows_four_answers():
    assert len(COMMANDS) == 4


@pytest.mark.parametrize(("command", "shown"), COMMANDS)
def test_the_readme_shows_what_is_answered(command: str, shown: str, server: Server):
    done = subprocess.run(
        ["bash", "-e"],
        input=command.replace("curl -s localhost:8000", f"curl -s {server.url}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    if shown.startswith("#"):
        assert done.stdout.strip() == shown.strip()
    else:
        assert_same(json.loads(done.stdout), json.loads(shown))
