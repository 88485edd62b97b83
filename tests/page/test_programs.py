"""The programs that the page shows: run as they are, they print the answer that the page shows."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.page.driving import run, unfold

TEXT = "She said: \"It's 5 °C 🙂\"\\n; $HOME `ls` isn't\n${this}!"


def program(page, panel: str, language: str) -> str:
    unfold(page, f"#{panel} .tools")
    page.locator(f"#{panel} .tools").get_by_label("Show as").select_option(label=language)
    shown: str = page.locator(f"#{panel} .tools code").inner_text()
    return shown


@pytest.mark.parametrize("panel", ["tag", "classify", "generate"])
def test_programs_ask_for_the_answer_that_is_shown(page, panel):
    run(page, panel, TEXT, **({"max_tokens": 20, "seed": 7} if panel == "generate" else {}))
    curl = subprocess.run(["sh", "-c", program(page, panel, "curl")], capture_output=True, text=True, check=True)
    answer = json.loads(curl.stdout)
    result = answer["results"][0]
    if panel == "tag":
        first = result["sentences"][0]["text"]
        words = [token["text"] for sentence in result["sentences"] for token in sentence["tokens"]]
        assert page.locator("#tag .word").all_inner_texts() == words
    elif panel == "classify":
        first = result["label"]
        assert page.locator("#classify .summary").inner_text().startswith(first)
    else:
        first = result["text"]
        assert page.locator("#generate .written").evaluate("e => e.lastChild.data") == first
    python = [sys.executable, "-c", program(page, panel, "Python")]
    printed = subprocess.run(python, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert repr(first)[1:-1] in printed
    script = program(page, panel, "JavaScript")
    console = "const logged = []; const console = { log: (value) => logged.push(value) };"
    assert page.evaluate(f"(async () => {{ {console}\n{script}\nreturn logged }})()") == [answer]


def test_a_program_reads_the_key_from_its_environment(open_page):
    page = open_page()
    page.evaluate("sessionStorage.setItem('tagwerk-api-key', 'tagwerk_a-key')")
    page.reload()
    page.wait_for_selector("#tag .cost:not([hidden])")
    for language in ("curl", "Python", "JavaScript"):
        shown = program(page, "tag", language)
        assert "API_KEY" in shown
        assert "tagwerk_a-key" not in shown
