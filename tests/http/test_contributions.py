"""What words contribute to a judgement, over HTTP, by the shipped classifier."""

import math
from typing import Any

import pytest

from tests.http.test_classify import classify

TEXT = "Not a lovely film. A fine plot 🙂, a weak film."


def log_odds(result: dict[str, Any], label: str | None = None) -> float:
    p = result["scores"][label or result["label"]]
    return math.log(p) - math.log(sum(result["scores"].values()) - p)


@pytest.mark.parametrize("text", ["A lovely film", "Not a lovely film .", "weak", "A dull thing, unheard of!"])
def test_contributions_and_baseline_sum_to_the_log_odds_of_the_label(client, text):
    (result,) = classify(client, text, contributions=True)
    why = result["contributions"]
    assert why["label"] == result["label"]
    assert why["baseline"] + sum(t["contribution"] for t in why["tokens"]) == pytest.approx(why["score"], abs=1e-4)
    assert why["score"] == pytest.approx(log_odds(result), abs=0.02), "of scores of six digits"
    assert [token["text"] for token in why["tokens"]] == [text[t["start"] : t["end"]] for t in why["tokens"]]


def test_a_label_that_is_named_is_explained_whatever_the_most_probable_one_is(client):
    for label in ("positive", "negative"):
        results = classify(client, ["A lovely film", "An awful film"], contributions=label)
        assert [result["label"] for result in results] == ["positive", "negative"]
        lovely, awful = (
            {token["text"]: token["contribution"] for token in result["contributions"]["tokens"]} for result in results
        )
        sign = 1 if label == "positive" else -1
        assert sign * lovely["lovely"] > 0 > sign * awful["awful"]
        for result in results:
            why = result["contributions"]
            assert why["label"] == label
            assert why["score"] == pytest.approx(log_odds(result, label), abs=0.02)
            assert why["baseline"] + sum(t["contribution"] for t in why["tokens"]) == pytest.approx(why["score"], 1e-4)
    assert classify(client, "An awful film", contributions="negative") == results[1:]
    assert classify(client, "An awful film", contributions=True) == results[1:]


@pytest.mark.parametrize(("label", "got"), [("good", "got 'good'"), ("", "got ''"), ("x" * 100, f"got '{'x' * 40}…'")])
def test_a_label_that_the_model_does_not_have_is_refused(client, label, got):
    response = client.post("/classify", json={"text": "fine", "contributions": label})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["pointer"], error["problem"]) == ("/contributions", got)
    assert "negative" in error["allowed"]
    assert "positive" in error["allowed"]


def test_all_texts_share_the_baseline_and_a_word_that_decides_contributes_most(client):
    results = classify(client, ["A lovely film", "An awful film"], contributions=True)
    assert [result["label"] for result in results] == ["positive", "negative"]
    for result, word in zip(results, ("lovely", "awful"), strict=True):
        tokens = result["contributions"]["tokens"]
        assert max(tokens, key=lambda token: token["contribution"])["text"] == word
    plain = classify(client, "A lovely film")
    assert plain == [{name: value for name, value in results[0].items() if name != "contributions"}]


def test_a_text_in_pieces_has_contributions_that_sum_as_well(client):
    text = TEXT * 60
    (result,) = classify(client, text, contributions=True)
    why = result["contributions"]
    assert len(why["tokens"]) > 600
    assert why["baseline"] + sum(t["contribution"] for t in why["tokens"]) == pytest.approx(why["score"], abs=1e-4)
    assert [t["text"] for t in why["tokens"]] == [text[t["start"] : t["end"]] for t in why["tokens"]]


def test_a_blank_text_has_no_tokens_and_its_score_is_the_baseline(client):
    (result,) = classify(client, " ", contributions=True, sentences=True)
    assert result["contributions"]["tokens"] == result["sentences"] == []
    assert result["contributions"]["baseline"] == result["contributions"]["score"]


@pytest.mark.parametrize("unit", ["code_points", "utf16", "utf8"])
def test_sentences_are_judged_as_if_they_stood_alone(client, unit):
    (result,) = classify(client, TEXT, sentences=True, contributions=True, offsets=unit)
    texts = [sentence["text"] for sentence in result["sentences"]]
    assert texts == ["Not a lovely film.", "A fine plot 🙂, a weak film."]
    coding = {"code_points": "utf-32-le", "utf16": "utf-16-le", "utf8": "utf-8"}[unit]
    width = {"code_points": 4, "utf16": 2, "utf8": 1}[unit]
    for part in (*result["sentences"], *result["contributions"]["tokens"]):
        cut = TEXT.encode(coding)[part["start"] * width : part["end"] * width]
        assert cut.decode(coding) == part["text"]
    alone = classify(client, texts)
    for part, expected in zip(result["sentences"], alone, strict=True):
        assert part["label"] == expected["label"]
        assert part["scores"] == pytest.approx(expected["scores"], abs=2e-5)
    (whole,) = classify(client, TEXT)
    assert result["scores"] == pytest.approx(whole["scores"], abs=2e-5)
