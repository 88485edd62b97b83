"""What can be taken along: a link, the answer as JSON or CoNLL-U, a sentence as SVG, and programs that ask for it."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.conftest import ROOT
from tests.page.driving import result_of, run, unfold

TEXT = "She didn't see it. Dogs bark loudly!"
ODD = "She said: \"It's 5 °C 🙂\"\\n; $HOME `ls` isn't\n${this}!"
SVG = "{http://www.w3.org/2000/svg}"


def copied(page, panel: str, button: str, done: str) -> str:
    """Presses a button of a panel; returns what the clipboard holds after."""
    unfold(page, f"#{panel} .tools")
    page.locator(f"#{panel}").get_by_role("button", name=button).click()
    page.locator(f"#{panel} .summary", has_text=done).wait_for()
    content: str = page.evaluate("navigator.clipboard.readText()")
    return content


@pytest.fixture
def page(open_page):
    return open_page(permissions=["clipboard-read", "clipboard-write"])


@pytest.mark.parametrize("panel", ["tag", "classify"])
def test_an_answer_is_copied_as_a_link_and_as_json(page, panel):
    answer = result_of(page, panel, TEXT)
    assert json.loads(copied(page, panel, "Copy as JSON", "Copied as JSON")) == answer
    link = copied(page, panel, "Copy link", "Link copied")
    assert link == page.url
    assert "didn%27t" in link


def test_a_copy_is_the_conllu_of_the_service(page, client):
    run(page, "tag", TEXT)
    with page.expect_request("**/tag") as request:
        content = copied(page, "tag", "Copy as CoNLL-U", "Copied as CoNLL-U")
    sent, headers = request.value.post_data_json, {"accept": "text/x-conllu"}
    assert (sent["text"], request.value.headers["accept"]) == (TEXT, headers["accept"])
    assert content == client.post("/tag", json=sent, headers=headers).text


def test_a_sentence_is_saved_as_svg(page):
    run(page, "tag", TEXT)
    page.locator("#tag [role=option]", has_text="bark").click()
    unfold(page, "#tag .tools")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save sentence 2 as SVG").click()
    assert download.value.suggested_filename == "sentence-2.svg"
    content = Path(download.value.path()).read_text()
    svg = ElementTree.fromstring(content)
    texts = [text.text or "" for text in svg.iter(f"{SVG}text")]
    assert texts[:4] == ["Dogs", "bark", "loudly", "!"]
    assert [text.split()[0] for text in texts[4:7]] == ["NOUN", "VERB", "ADV"]
    width, height = float(svg.attrib["width"]), float(svg.attrib["height"])
    for text in svg.iter(f"{SVG}text"):
        assert 0 < float(text.attrib["x"]) < width
        assert 0 < float(text.attrib["y"]) < height
    assert "oklch" not in content
    assert "url(" not in content, "it refers to nothing outside of the file"


def program(page, panel: str, language: str) -> str:
    unfold(page, f"#{panel} .tools")
    page.locator(f"#{panel} .tools").get_by_label("Show as").select_option(label=language)
    shown: str = page.locator(f"#{panel} .tools code").inner_text()
    return shown


@pytest.mark.parametrize("panel", ["tag", "classify", "generate"])
def test_programs_ask_for_the_answer_that_is_shown(page, panel):
    run(page, panel, ODD, **({"max_tokens": 20, "seed": 7} if panel == "generate" else {}))
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


def test_a_program_reads_the_key_from_its_environment(page):
    page.evaluate("sessionStorage.setItem('tagwerk-api-key', 'tagwerk_a-key')")
    page.reload()
    page.wait_for_selector("#tag .cost:not([hidden])")
    for language in ("curl", "Python", "JavaScript"):
        shown = program(page, "tag", language)
        assert "API_KEY" in shown
        assert "tagwerk_a-key" not in shown
