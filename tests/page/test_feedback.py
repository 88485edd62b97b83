"""Corrections on the page: of tags and of labels."""

import json
import re
from typing import Any

import pytest

from tests.page.conftest import opened
from tests.page.driving import run

TEXT = "She didn't see it. The old man the boats."
FEATS = "Mood=Ind|Number=Plur|Person=3|Tense=Pres|VerbForm=Fin"


def sent(page, act) -> dict[str, Any]:
    """Returns the correction that an action sends, which the service stores."""
    with page.expect_response("**/feedback") as response:
        act()
    assert response.value.status == 201, response.value.text()
    body: dict[str, Any] = json.loads(response.value.request.post_data)
    return body


@pytest.fixture
def tagged(page):
    run(page, "tag", TEXT)
    page.wait_for_selector("#tag .feedback:not([hidden])")
    return page


def test_another_tag_is_chosen_by_keyboard_and_sent(tagged):
    man = tagged.locator("#tag [role=option]", has_text="man").first
    man.focus()
    tagged.keyboard.press("Enter")
    form = tagged.locator("#tag .feedback form")
    form.wait_for()
    assert tagged.evaluate("document.activeElement.name") == "upos"
    assert tagged.locator("#tokens-card").is_hidden(), "it would cover the form"
    chosen = form.locator("option:checked").all_inner_texts()
    assert all(re.fullmatch(r".+, [\d.]+ %", text) for text in chosen), "also where nothing points at a token"
    tagged.keyboard.type("VERB")
    form.locator("[name=xpos]").select_option("VBP")
    form.locator("[name=feats]").select_option(FEATS)
    form.locator("[name=lemma]").fill("to man")
    tagged.keyboard.press("Enter")
    form.wait_for(state="hidden")
    assert tagged.evaluate("document.activeElement.getAttribute('aria-label')") == "man, VERB, verb, corrected"
    body = sent(tagged, tagged.get_by_role("button", name="Send 1 correction").click)
    assert body.pop("request_id")
    right = {"upos": "VERB", "xpos": "VBP", "feats": FEATS, "lemma": "to man"}
    place = {"sentence": 1, "token": 2, "text": "man"}
    assert body == {"model": "tagger-en", "text": TEXT, "tags": [place | right]}
    assert 'status: "Stored: 1 token corrected."' in tagged.locator("#tag .feedback").aria_snapshot()


def test_a_correction_is_taken_back_and_the_answer_marked_as_right(tagged):
    man = tagged.locator("#tag [role=option]", has_text="man").first
    man.click()
    tagged.locator("#tag .feedback [name=upos]").select_option("VERB")
    assert man.get_attribute("data-upos") == "VERB"
    tagged.get_by_role("button", name="As the model has it").click()
    assert man.get_attribute("data-upos") == "NOUN"
    assert "corrected" not in (man.get_attribute("aria-label") or "")
    assert sent(tagged, tagged.get_by_role("button", name="Correct: all tags are right").click)["tags"] == []
    run(tagged, "tag", "Dogs bark.")
    assert tagged.locator("#tag .told").inner_text() == ""


def test_a_label_is_pressed(page):
    run(page, "classify", "A dull mess.")
    buttons = page.locator("#classify .feedback button")
    assert buttons.all_inner_texts() == ["Correct: negative", "It is neutral", "It is positive"]
    assert sent(page, buttons.nth(1).click)["label"] == "neutral"
    page.locator("#classify .told", has_text="Stored: the text is neutral.").wait_for()
    assert [one.get_attribute("aria-pressed") for one in buttons.all()] == ["false", "true", "false"]
    assert sent(page, buttons.first.click)["label"] == "negative"


def test_a_refusal_is_said(tagged):
    problem = {"title": "The correction is not stored", "detail": "No space left on device", "status": 507}
    tagged.route("**/feedback", lambda route: route.fulfill(status=507, json=problem))
    tagged.get_by_role("button", name="Correct: all tags are right").click()
    tagged.locator("#tag .told", has_text="The correction is not stored. No space left on device.").wait_for()


def test_a_service_that_stores_none_offers_none(browser, server):
    with opened(browser, server.url) as (page, _):
        found = page.request.get("/models").json() | {"feedback": False}
        page.route("**/models", lambda route: route.fulfill(json=found))
        page.goto("/")
        run(page, "tag", TEXT)
        page.locator("#tag [role=option]").first.click()
        assert page.locator("#tag .feedback").is_hidden()
