"""The examples of docs/api.md and README, run against the real server: they run, and are answered as is shown."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, Server

PAGE = (ROOT / "docs" / "api.md").read_text()
COMMANDS = {"sh": ["bash", "-eo", "pipefail"], "python": [sys.executable, "-W", "error"], "js": ["node"]}
EXAMPLES = re.findall(r"^```(sh|python|js)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
README = re.findall(
    r"^```\n(curl .*?)^```\n```(?:json)?\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL
)


def run(kind: str, code: str, server: Server, folder: Path) -> str:
    if shutil.which(COMMANDS[kind][0]) is None:
        pytest.skip(f"there is no {COMMANDS[kind][0]}")
    file = folder / f"example.{'mjs' if kind == 'js' else kind}"
    file.write_text(re.sub(r"(127\.0\.0\.1|localhost):8000", server.url.removeprefix("http://"), code))
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    done = subprocess.run([*COMMANDS[kind], file], capture_output=True, text=True, timeout=60, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("kind", "code"), EXAMPLES, ids=[f"{kind} {number}" for number, (kind, _) in enumerate(EXAMPLES, 1)]
)
def test_an_example_runs_and_says_something(kind, code, server, tmp_path):
    output = run(kind, code, server, tmp_path)
    assert output.strip()
    wrong = '"text": 7}' in code or '"Good.", 7' in code
    assert ("urn:tagwerk:problem" in output) == wrong, output


def test_the_conllu_on_the_page_is_what_the_example_gives(server, tmp_path):
    example = next(code for kind, code in EXAMPLES if "text/x-conllu" in code)
    shown = re.search(r"^```\n(# generator.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert shown is not None
    given = run("sh", example, server, tmp_path)
    assert [line for line in given.splitlines() if line][1:] == shown[1].splitlines()[1:], "without the model's version"


def test_the_contributions_on_the_page_are_what_the_example_gives(server, tmp_path):
    example = next(code for kind, code in EXAMPLES if '"contributions": true' in code)
    (shown,) = map(json.loads, re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    (result,) = json.loads(run("sh", example, server, tmp_path))["results"]
    given = result["contributions"]
    given["tokens"] = [token for token in given["tokens"] if token["text"] == "funny"]
    assert_same(given, shown)


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


def test_all_examples_are_found():
    assert {kind for kind, _ in EXAMPLES} == set(COMMANDS)
    assert len(README) == 4


@pytest.mark.parametrize(("command", "shown"), README)
def test_the_readme_shows_what_is_answered(command, shown, server, tmp_path):
    answer = run("sh", command, server, tmp_path)
    if shown.startswith("#"):
        assert answer.strip() == shown.strip()
    else:
        assert_same(json.loads(answer), json.loads(shown))
