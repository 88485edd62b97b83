"""The panel Classify."""

import re

import pytest

from tests.page.driving import result_of, run

TEXT = "The acting is superb. But the plot is a mess, and the ending is an insult."


def test_scores_are_bars_and_figures(page, client):
    run(page, "classify", TEXT)
    result = client.post("/classify", json={"text": TEXT}).json()["results"][0]
    rows = page.locator("#classify .scores li")
    assert rows.count() == len(result["scores"])
    for (label, score), row in zip(result["scores"].items(), rows.all(), strict=True):
        words = row.inner_text().split()
        assert label in words
        assert abs(float(words[-2]) - score * 100) < 0.06
        bar = row.locator(".bar")
        filled = bar.evaluate("e => parseFloat(getComputedStyle(e, '::before').width) / e.clientWidth")
        assert abs(filled - score) < 0.02
    assert (
        page.locator("#classify .best")
        .inner_text()
        .startswith({"positive": "▲", "negative": "▼", "neutral": "■"}[result["label"]])
    )
    assert page.locator("#classify .summary").inner_text().startswith(result["label"])


def test_tokens_are_shaded_by_what_they_contribute(page):
    result = result_of(page, "classify", TEXT)["results"][0]
    tokens = result["contributions"]["tokens"]
    shaded = page.locator("#classify .shaded")
    assert shaded.evaluate("e => [...e.childNodes].map(n => n.firstChild?.data ?? n.data).join('')") == TEXT
    heaviest = max(tokens, key=lambda token: abs(token["contribution"]))
    sign = "−" if heaviest["contribution"] < 0 else "+"
    mark = page.locator(f"#classify mark.{'against' if sign == '−' else 'for'}", has_text=heaviest["text"]).first
    assert sign in mark.inner_text(), "the sign is a character"
    styles = {
        kind: page.locator(f"#classify mark.{kind}").first.evaluate("e => getComputedStyle(e).borderBottomStyle")
        for kind in ("for", "against")
        if page.locator(f"#classify mark.{kind}").count()
    }
    assert styles == {kind: {"for": "solid", "against": "dashed"}[kind] for kind in styles}, "and a pattern"


def test_words_of_praise_are_above_0_in_a_negative_text(page):
    result = result_of(page, "classify", TEXT)["results"][0]
    assert (result["label"], result["contributions"]["label"]) == ("negative", "positive")
    assert page.locator("#classify mark.for", has_text="superb").inner_text().startswith("superb+")
    assert page.locator("#classify mark.against", has_text="insult").inner_text().startswith("insult−")
    assert "for and against positive" in page.locator("#classify .verdict").inner_text()


def number(shown: str) -> float:
    assert re.fullmatch(r"[+−]\d+\.\d\d|0\.00", shown), f"{shown} is no log-odds with a sign"
    return float(shown.replace("−", "-"))


def sums(page) -> dict[str, float]:
    rows = page.locator("#classify .sum div").all()
    return {row.locator("dt").inner_text(): number(row.locator("dd").inner_text()) for row in rows}


def test_log_odds_are_shown_as_what_they_are_and_add_up(page):
    why = result_of(page, "classify", TEXT)["results"][0]["contributions"]
    before, added, after = sums(page).values()
    assert before == pytest.approx(why["baseline"], abs=0.005)
    assert after == pytest.approx(why["score"], abs=0.005)
    assert before + added == pytest.approx(after, abs=1e-9), "as a reader adds them"
    tokens = sorted(why["tokens"], key=lambda token: -abs(token["contribution"]))
    most = abs(tokens[0]["contribution"])
    rows = page.locator("#classify .largest li").all()
    assert len(rows) > 3
    for token, row in zip(tokens, rows, strict=False):  # the heaviest alone are listed
        assert row.locator(".name").inner_text() == token["text"]
        assert number(row.locator(".number").inner_text()) == pytest.approx(token["contribution"], abs=0.005)
        filled = row.locator(".bar").evaluate("e => parseFloat(getComputedStyle(e, '::before').width) / e.clientWidth")
        assert filled == pytest.approx(abs(token["contribution"]) / most, abs=0.02)
    marks = [number(sign) for sign in page.locator("#classify mark sup").all_inner_texts()]
    notable = [token["contribution"] for token in why["tokens"] if abs(token["contribution"]) >= 0.15 * most]
    assert marks == pytest.approx(notable, abs=0.005)
    sections = page.locator("#classify section[data-label]").all()
    assert sections
    for section in sections:
        assert "log-odds" in section.inner_text()
        assert "%" not in section.inner_text(), "log-odds are no shares"


def test_the_score_magnitude_and_mixture_are_shown(page):
    result = result_of(page, "classify", TEXT)["results"][0]
    values = page.locator("#classify .strength dd").all_inner_texts()
    assert number(values[0]) == pytest.approx(result["score"], abs=0.005)
    assert float(values[1]) == pytest.approx(result["magnitude"], abs=0.005)
    assert values[2] == {True: "yes", False: "no"}[result["mixed"]]
    run(page, "classify", "It is superb.")
    assert page.locator("#classify .strength dd").count() == 1, "one sentence is the whole text"


def test_each_sentence_is_classified(page):
    sentences = result_of(page, "classify", TEXT)["results"][0]["sentences"]
    assert [sentence["text"] for sentence in sentences] == re.findall(r"[^.]+\.", TEXT.replace(". ", "."))
    for sentence, row in zip(sentences, page.locator("#classify .sentences li").all(), strict=True):
        assert sentence["text"] in row.inner_text()
        assert sentence["label"] in row.inner_text()
        shown = row.locator(".number").inner_text()
        assert float(shown.removesuffix(" %")) == pytest.approx(100 * sentence["scores"][sentence["label"]], abs=0.06)
