"""Errors and hints, which replace an answer to another text."""

import pytest

from tests.page.driving import run, start, unfold

ANSWERS = {"tag": "#tag [role=option]", "classify": "#classify .scores"}


@pytest.mark.parametrize("panel", ANSWERS)
def test_an_error_takes_the_place_of_the_answer(page, panel):
    run(page, panel, "Dogs bark.")
    assert page.locator(ANSWERS[panel]).count() > 0
    problem = {"title": "The device failed", "detail": "for a test"}
    page.route(f"**/{panel}", lambda route: route.fulfill(status=500, json=problem))
    start(page, panel, "Cats sleep.")
    page.locator(f"#{panel} .message", has_text="The device failed. For a test.").wait_for()
    assert page.locator(ANSWERS[panel]).count() == 0
    assert page.locator(f"#{panel} .cost").is_hidden()
    assert page.locator(f"#{panel} .summary").inner_text() == ""
    unfold(page, f"#{panel} .tools")
    assert page.locator(f"#{panel}").get_by_role("button", name="Copy as JSON").is_disabled()
    assert page.locator(f"#{panel} .program").is_hidden()
    page.unroute(f"**/{panel}")
    run(page, panel, "Cats sleep.")
    assert page.locator(f"#{panel} .message").is_hidden()


@pytest.mark.parametrize(("panel", "verb"), [("tag", "tag"), ("classify", "classify")])
def test_an_empty_text_says_what_to_do(page, panel, verb):
    run(page, panel, "Dogs bark.")
    sent = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    start(page, panel, " \n")
    message = page.locator(f"#{panel} .message", has_text=f"Enter a text to {verb}, or choose an example.")
    message.wait_for()
    assert message.locator("button").count() == 0
    assert page.locator(ANSWERS[panel]).count() == 0
    assert sent == []
    assert page.locator(f"#{panel}-text").get_attribute("placeholder") == "Type or paste a text"
