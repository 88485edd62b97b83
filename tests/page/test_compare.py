"""Two answers to a text side by side, of two models or of two versions of one."""

import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.page.conftest import opened
from tests.page.driving import answered, run
from tests.page.test_look import PHONE

TEXT = "La chatte dort sur le lit."


def tokens(client, model: str) -> list[dict[str, Any]]:
    (result,) = client.post("/tag", json={"text": TEXT, "model": model}).json()["results"]
    return [token for sentence in result["sentences"] for token in sentence["tokens"]]


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
        marks = side.locator("[role=option]").evaluate_all("all => all.map(e => e.classList.contains('differs'))")
        assert marks == [theirs.get(key) != upos for key, upos in mine.items()]
        assert any(marks)
        first = side.locator(".differs").first
        assert (first.get_attribute("aria-label") or "").endswith(", different")
        first.focus()
        assert "The other answer" in page.locator(".details:not([hidden])").inner_text()
    number = sides.first.locator(".differs").count()
    assert page.locator("#tag .summary").inner_text().endswith(f"tokens, {number} of them different")
    assert "compare=tagger-en" in page.url
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    answered(page, "tag", page.go_back)
    assert sides.nth(1).is_hidden()
    assert page.locator("#tag .differs").count() == 0


def test_versions_of_a_model_are_compared_in_all_of_their_tags(browser, server, client):
    readiness = client.get("/readyz").json()
    tagger = next(model for model in readiness["models"] if model["name"] == "tagger-en")
    readiness["models"].append({**tagger, "version": "0", "share": 0.0, "default": False})
    asked = []

    def answer(route) -> None:
        body = json.loads(route.request.post_data)
        asked.append(body["model"])
        response = route.fetch(post_data=json.dumps({**body, "model": "tagger-en"}))
        found = response.json()
        if body["model"] == "tagger-en/0":
            found["version"] = "0"
            found["results"][0]["sentences"][0]["tokens"][0]["lemma"] = "other"
        route.fulfill(response=response, json=found)

    with opened(browser, server.url) as (page, _):
        page.route("**/readyz", lambda route: route.fulfill(json=readiness))
        page.route("**/tag", answer)
        page.goto("/#tag?text=Dogs+bark.&model=tagger-en/0")
        page.wait_for_selector("#tag .cost:not([hidden])")
        menu = page.get_by_label("Compare with").first
        answered(page, "tag", lambda: menu.select_option(f"tagger-en/{tagger['version']}"))
        assert asked[-2:] == ["tagger-en/0", f"tagger-en/{tagger['version']}"]
        titles = page.locator("#tag .side h3").all_inner_texts()
        assert titles == ["English, version 0", f"English, version {tagger['version']}"]
        assert page.locator("#tag .differs .word").all_inner_texts() == ["Dogs", "Dogs"]
        page.locator("#tag .differs").first.focus()
        assert "Lemma: dog" in page.locator(".details:not([hidden])").inner_text()


def test_labels_of_two_versions_stand_side_by_side(browser, server, client):
    readiness = client.get("/readyz").json()
    model = next(model for model in readiness["models"] if model["task"] == "classify")
    readiness["models"].append({**model, "version": "0", "share": 0.0, "default": False})
    scores = {"negative": 0.8, "neutral": 0.1, "positive": 0.1}
    result = {"label": "negative", "scores": scores, "score": -0.7, "magnitude": 0.7, "mixed": False, "sentences": []}

    def answer(route) -> None:
        if json.loads(route.request.post_data)["model"].endswith("/0"):
            route.fulfill(json={"model": model["name"], "version": "0", "results": [result]})
        else:
            route.continue_()

    with opened(browser, server.url) as (page, _):
        page.route("**/readyz", lambda route: route.fulfill(json=readiness))
        page.route("**/classify", answer)
        page.goto("/#classify?text=Superb.")
        page.wait_for_selector("#classify .cost:not([hidden])")
        menu = page.locator("#classify").get_by_label("Compare with")
        answered(page, "classify", lambda: menu.select_option(f"{model['name']}/0"))
        best = page.locator("#classify .best")
        assert [row.inner_text().split()[1] for row in best.all()] == ["positive", "negative"]
        assert all(row.locator(".differs").is_visible() for row in best.all())
        assert page.locator("#classify .summary").inner_text().endswith(f"; {model['name']}, version 0: negative")
        boxes = [box for side in page.locator("#classify .side").all() if (box := side.bounding_box())]
        assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
