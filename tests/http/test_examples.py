"""The examples of docs/api.md, run against the real server."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Server

PAGE = (ROOT / "docs" / "api.md").read_text()
COMMANDS = {"sh": ["bash", "-eo", "pipefail"], "python": [sys.executable, "-W", "error"], "js": ["node"]}
EXAMPLES = re.findall(r"^```(sh|python|js)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def run(kind: str, code: str, server: Server, folder: Path) -> str:
    if shutil.which(COMMANDS[kind][0]) is None:
        pytest.skip(f"there is no {COMMANDS[kind][0]}")
    file = folder / f"example.{'mjs' if kind == 'js' else kind}"
    file.write_text(code.replace("127.0.0.1:8000", server.url.removeprefix("http://")))
    done = subprocess.run(
        [*COMMANDS[kind], str(file)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
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


def test_the_page_has_the_three_languages():
    assert {kind for kind, _ in EXAMPLES} == set(COMMANDS)


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
    (one,), (other,) = shown.pop("tokens"), [token for token in given.pop("tokens") if token["text"] == "funny"]
    for here, there in ((shown, given), (one, other)):
        assert here == {name: about(value) for name, value in there.items()}


def about(value):
    """Returns a figure as a processor may give it that rounds a state otherwise; anything else as it is."""
    return pytest.approx(value, abs=0.02) if isinstance(value, float) else value
