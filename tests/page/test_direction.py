"""Texts that are written from right to left, with figures that are not."""

from typing import Any

import pytest

from tests.page.driving import run

TEXT = "5 שלום."  # the number has no direction, and the Latin letters of its tag are not part of the text
LEFTS = """(element) => {
    const node = element.childNodes[0];
    const range = document.createRange();
    return Array.from(node.data, (_, i) => {
        range.setStart(node, i);
        range.setEnd(node, i + 1);
        return range.getBoundingClientRect().left;
    });
}"""


def token(text: str, start: int, confidence: float) -> dict[str, Any]:
    facts = {"upos": "NOUN", "xpos": "NN", "feats": {}, "confidence": confidence, "lemma": text}
    return {"text": text, "start": start, "end": start + len(text), **facts}


@pytest.fixture
def answers(page):
    """The page, with answers to a Hebrew text."""
    tokens = [token("5", 0, 0.5), token("שלום", 2, 0.99), token(".", 6, 0.99)]
    sentence = {"text": TEXT, "start": 0, "end": 7, "tokens": tokens, "multiword_tokens": []}
    contributions = [
        {**{key: token[key] for key in ("text", "start", "end")}, "contribution": -1.25} for token in tokens
    ]
    why = {"label": "positive", "score": 1.5, "baseline": 0.5, "tokens": contributions}
    label = {"label": "positive", "scores": {"negative": 0.25, "positive": 0.75}, "contributions": why}
    results = {"tag": {"sentences": [sentence]}, "classify": label}

    def answer(route) -> None:
        result = results[route.request.url.rpartition("/")[2]]
        route.fulfill(json={"model": "m", "version": "1", "results": [result]})

    for path in results:
        page.route(f"**/{path}", answer)
    return page


def test_tokens_run_from_right_to_left_and_their_tags_from_left_to_right(answers):
    run(answers, "tag", TEXT)
    options = answers.locator("#tag [role=option]")
    boxes = [option.bounding_box()["x"] for option in options.all()]
    assert boxes == sorted(boxes, reverse=True)
    tag, confidence = options.first.locator(".tag"), options.first.locator(".tag i")
    assert tag.evaluate(LEFTS)[0] < confidence.evaluate(LEFTS)[0]
    options.first.focus()
    answers.keyboard.press("ArrowLeft")
    assert answers.locator("#tag [role=option]:focus .word").inner_text() == "שלום"


def test_signs_are_left_of_their_numbers(answers):
    run(answers, "classify", TEXT)
    assert answers.locator("#classify .shaded").evaluate("e => getComputedStyle(e).direction") == "rtl"
    for figure in (*answers.locator("#classify sup").all(), *answers.locator("#classify .largest .number").all()):
        assert figure.inner_text() == "−1.25"
        lefts = figure.evaluate(LEFTS)
        assert lefts == sorted(lefts), "the sign is left of the digits"
