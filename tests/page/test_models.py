"""The menu of models, and two answers to a text side by side, of two models or of two versions of one."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Locator, Page

from tests.conftest import Server, once, start_server
from tests.page.conftest import opened
from tests.page.driving import answered, check_accessible, run, until
from tests.page.test_look import PHONE
from tests.tiny_store import export_untrained, make_versions
from tests.training import tiny

TEXT = "La chatte dort sur le lit."


def tokens(client, model: str) -> list[dict[str, Any]]:
    (result,) = client.post("/tag", json={"text": TEXT, "model": model}).json()["results"]
    return [token for sentence in result["sentences"] for token in sentence["tokens"]]


def marks(side: Locator) -> list[bool]:
    """Returns of each token of an answer whether it is marked as different."""
    found: list[bool] = side.locator("[role=option]").evaluate_all("all => all.map(e => e.matches('.differs'))")
    return found


@pytest.mark.parametrize("size", [{}, PHONE], ids=["desktop", "phone"])
def test_two_taggers_answer_and_what_differs_is_marked(open_page, client, size):
    page = open_page(reduced_motion="reduce", **size)
    run(page, "tag", TEXT)
    answered(page, "tag", lambda: page.get_by_label("Model").first.select_option(label="French"))
    answered(page, "tag", lambda: page.get_by_label("Compare with").first.select_option(label="English"))
    sides = page.locator("#tag .side")
    assert [side.locator("h3").inner_text().partition(",")[0] for side in sides.all()] == ["French", "English"]
    answers = [tokens(client, model) for model in ("tagger-fr", "tagger-en")]
    known = [{(t["start"], t["end"], t["text"]): t["upos"] for t in answer} for answer in answers]
    for side, mine, theirs in zip(sides.all(), known, reversed(known), strict=True):
        assert marks(side) == [theirs.get(key) != upos for key, upos in mine.items()]
        assert any(marks(side))
        first = side.locator(".differs").first
        assert (first.get_attribute("aria-label") or "").endswith(", different")
        first.focus()
        assert "The other answer" in page.locator(".details:not([hidden])").inner_text()
    number = sides.first.locator(".differs").count()
    assert page.locator("#tag .summary").inner_text().endswith(f"tokens, {number} of them different")
    assert "compare=tagger-en" in page.url
    check_accessible(page, "two answers")
    answered(page, "tag", page.go_back)
    assert sides.nth(1).is_hidden()
    assert page.locator("#tag .differs").count() == 0


@pytest.fixture(scope="module")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A service with two versions of a tagger and of a classifier, each of another seed, and dictionaries."""
    folder = tmp_path_factory.mktemp("versions")
    store, words = folder / "store", folder / "dictionaries"
    shutil.copytree(once(tmp_path_factory, "tiny-versions", make_versions), store)
    export_untrained(store, tiny.sentiment(seed=2))
    shares = {name: {"canary": {"version": "1", "share": 0.1}} for name in ("tagger-tiny", "sentiment-tiny")}
    (store / "serving.json").write_text(json.dumps({"models": shares}))
    words.mkdir()
    (words / "tagger-tiny.tsv").write_text("lol\t\tNOUN\tNN\t_\n")
    (words / "sentiment-tiny.tsv").write_text("Acme\n")
    settings = {"TAGWERK_MODEL_STORE": str(store), "TAGWERK_OVERRIDES_DIR": str(words)}
    with start_server(folder / "log", **settings) as running:
        running.wait_until_ready()
        yield running


def asked(server: Server, task: str, model: str, text: str) -> dict[str, Any]:
    body = {"text": text, "model": model}
    result: dict[str, Any] = httpx.post(f"{server.url}/{task}", json=body, timeout=60).json()["results"][0]
    return result


@contextmanager
def compared(browser: Browser, server: Server, panel: str, models: list[str], text: str) -> Iterator[Page]:
    """Opens the page with the answers of two models to a text."""
    with opened(browser, server.url) as (page, _):
        page.goto(f"/#{panel}?text={text.replace(' ', '+')}&model={models[0]}")
        page.wait_for_selector(f"#{panel} .cost:not([hidden])")
        menu = page.locator(f"#{panel}").get_by_label("Compare with")
        answered(page, panel, lambda: menu.select_option(models[1]))
        yield page


def test_versions_of_a_model_are_compared_in_all_of_their_tags(browser, two_versions):
    names, text = ["tagger-tiny/1", "tagger-tiny/2"], "The dog sees a cat lol"
    first, second = (asked(two_versions, "tag", name, text)["sentences"][0]["tokens"] for name in names)
    expected = [
        any(one[tag] != other[tag] for tag in ("upos", "xpos", "feats"))
        for one, other in zip(first, second, strict=True)
    ]
    assert len({*expected}) == 2, "what is from the dictionary does not differ"
    with compared(browser, two_versions, "tag", names, text) as page:
        assert page.locator("#tag .side h3").all_inner_texts() == ["English, version 1", "English, version 2"]
        assert list(map(marks, page.locator("#tag .side").all())) == [expected, expected]
        counted = page.locator("#tag .legend li:not([hidden])").first.inner_text().split()
        numbers = [str(sum(token["upos"] == counted[0] for token in answer)) for answer in (first, second)]
        assert counted[-3:] == [numbers[0], "/", numbers[1]]
        page.locator("#tag .differs").first.focus()
        assert "The other answer" in page.locator(".details:not([hidden])").inner_text()


def test_labels_of_two_versions_stand_side_by_side(browser, two_versions):
    names, text = ["sentiment-tiny/1", "sentiment-tiny/2"], "Acme is lovely."
    first, second = (asked(two_versions, "classify", name, text)["label"] for name in names)
    assert first != second
    with compared(browser, two_versions, "classify", names, text) as page:
        best = page.locator("#classify .best")
        assert [row.inner_text().split()[1] for row in best.all()] == [first, second]
        assert all(row.locator(".differs").is_visible() for row in best.all())
        assert page.locator("#classify .summary").inner_text().endswith(f"; sentiment-tiny, version 2: {second}")
        boxes = [box for side in page.locator("#classify .side").all() if (box := side.bounding_box())]
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
        left_out = page.locator("#classify .hint", has_text="The dictionary leaves out: Acme.")
        assert left_out.count() == 2, "of each answer"


def test_what_is_from_the_dictionary_is_told_apart(browser, two_versions):
    with opened(browser, two_versions.url) as (page, _):
        page.goto("/#tag?text=lol+today")
        page.wait_for_selector("#tag .cost:not([hidden])")
        word = page.locator("#tag [role=option]").first
        assert word.get_attribute("aria-label") == "lol, NOUN, noun, from the dictionary"
        word.focus()
        shown = page.locator(".details:not([hidden])").inner_text()
        lines = list(filter(None, shown.splitlines()))
        assert lines[lines.index("From the dictionary") + 1 :][:2] == ["NOUN", "NN"]
        assert "Part of speech by the model" in lines


def test_a_menu_offers_the_models_of_a_task_where_there_are_several(browser, server, client):
    readiness = client.get("/readyz").json()
    tagger = next(model for model in readiness["models"] if model["task"] == "tag")
    other = {**tagger, "name": "a-tagger", "default": False}
    older = {**tagger, "version": "0", "share": 0.0, "default": False}
    readiness["models"] += [other, older, {**other, "name": "refused", "state": "refused"}]
    bodies = []

    def answer(route) -> None:
        bodies.append(json.loads(route.request.post_data))
        route.continue_(post_data=json.dumps({**bodies[-1], "model": tagger["name"]}))

    with opened(browser, server.url) as (page, _):
        page.route("**/readyz", lambda route: route.fulfill(json=readiness))
        page.route("**/tag", answer)
        page.goto("/")
        page.wait_for_selector("#tag .cost:not([hidden])")
        menu = page.locator("#tag").get_by_label("Model")
        versions = [f"English v{version}" for version in (tagger["version"], "0")]
        plain = ["English", *versions, "French", "a-tagger"]
        assert menu.locator("option").all_inner_texts() == ["automatic", *plain]
        assert page.get_by_label("Compare with").first.locator("option").all_inner_texts() == ["nothing", *plain]
        assert (menu.input_value(), bodies[-1]["language"]) == ("auto", "auto"), "the default"
        assert bodies[-1]["model"] == tagger["name"], "of texts in other languages"
        answered(page, "tag", lambda: menu.select_option("a-tagger"))
        assert bodies[-1]["model"] == "a-tagger"
        assert "model=a-tagger" in page.url
        page.reload()
        page.wait_for_selector("#tag .cost:not([hidden])")
        assert (menu.input_value(), bodies[-1]["model"]) == ("a-tagger", "a-tagger")
        page.locator("#tab-classify").click()
        assert page.locator("#classify .model:not([hidden])").count() == 0, "there is no choice"
        gone = (other, older)
        readiness["models"] = [m for m in readiness["models"] if m not in gone and m["name"] != "tagger-fr"]
        until(page, "!document.querySelector('#tag .model:not([hidden])')")


def test_examples_are_in_the_language_of_the_model(page):
    menu, field = page.get_by_label("Model").first, page.get_by_label("Text to tag")
    examples = page.locator("#tag .examples button")
    assert examples.all_inner_texts()[-1] == "French", "an example of each further language that is served"
    answered(page, "tag", lambda: menu.select_option(label="French"))
    assert field.input_value().startswith("Je n'ai pas vu"), "an example is replaced"
    assert examples.first.inner_text() == "Élisions"
    answered(page, "tag", lambda: menu.select_option(label="automatic"))
    answered(page, "tag", lambda: menu.select_option(label="English"))
    assert field.input_value().startswith("She didn't see")
    run(page, "tag", "Dogs bark.")
    answered(page, "tag", lambda: menu.select_option(label="French"))
    assert field.input_value() == "Dogs bark.", "one's own text is not"
