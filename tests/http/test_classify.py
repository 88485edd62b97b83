"""Labels, scores and explanations, by the shipped classifier."""

import math
from typing import Any

import httpx
import pytest

from service.api import answer_schemas


def classify(client: httpx.Client, text: str | list[str], **wishes: object) -> list[dict[str, Any]]:
    response = client.post("/classify", json={"text": text, **wishes})
    assert response.status_code == 200, response.text
    answer_schemas.ClassifyAnswer.model_validate(response.json(), strict=True, extra="forbid")
    results: list[dict[str, Any]] = response.json()["results"]
    return results


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("A warm, funny and engaging film.", "positive"),
        ("A dull, lifeless mess.", "negative"),
        ("I loved every minute of it.", "positive"),
        ("This is the worst movie I have ever seen.", "negative"),
    ],
)
def test_plain_judgements_come_out_right(client, text, label):
    (result,) = classify(client, text)
    assert result["label"] == label
    assert set(result["scores"]) == {"negative", "neutral", "positive"}
    assert abs(sum(result["scores"].values()) - 1) < 1e-4
    assert result["label"] == max(result["scores"], key=result["scores"].get)


def test_the_same_words_in_another_order_are_judged_the_other_way_round(client):
    good, bad = classify(client, ["The food was good, not bad at all.", "The food was bad, not good at all."])
    for result, more, less in ((good, "positive", "negative"), (bad, "negative", "positive")):
        assert result["scores"][more] > 2 * result["scores"][less]


def test_a_score_tells_how_positive_a_text_is_and_a_magnitude_how_strong_its_sentences_are(client):
    texts = ["The actors are wonderful. The plot is an awful mess.", "It is wonderful. It is brilliant.", "Awful.", ""]
    results = classify(client, texts, sentences=True)
    for result in results:
        for part in (result, *result["sentences"]):
            assert part["score"] == pytest.approx(part["scores"]["positive"] - part["scores"]["negative"], abs=1e-9)
        strengths = [abs(part["score"]) for part in result["sentences"]]
        assert result["magnitude"] == pytest.approx(sum(strengths), abs=1e-9)
    assert [result["mixed"] for result in results] == [True, False, False, False]
    assert results[1]["score"] > 0.5 > -0.5 > results[2]["score"]
    assert results[1]["magnitude"] > 1
    plain = [
        {name: value for name, value in result.items() if name not in ("sentences", "magnitude", "mixed")}
        for result in results
    ]
    assert classify(client, texts) == plain, "which costs no step for each sentence"


TEXT = "Not a lovely film. A fine plot 🙂, a weak film."


def log_odds(result: dict[str, Any], label: str) -> float:
    p = result["scores"][label]
    return math.log(p) - math.log(sum(result["scores"].values()) - p)


def check_sum(text: str, result: dict[str, Any], label: str) -> None:
    """Checks that the contributions of all tokens and the baseline sum to the log-odds of a label."""
    why = result["contributions"]
    assert why["label"] == label
    assert why["baseline"] + sum(t["contribution"] for t in why["tokens"]) == pytest.approx(why["score"], abs=1e-4)
    assert why["score"] == pytest.approx(log_odds(result, label), abs=0.02), "of scores of six digits"
    assert [token["text"] for token in why["tokens"]] == [text[t["start"] : t["end"]] for t in why["tokens"]]


@pytest.mark.parametrize("text", ["A lovely film", "Not a lovely film .", "weak", "A dull thing, unheard of!"])
def test_contributions_and_baseline_sum_to_the_log_odds_of_the_label(client, text):
    (result,) = classify(client, text, contributions=True)
    check_sum(text, result, result["label"])
    del result["contributions"]
    assert classify(client, text) == [result]


def test_a_label_that_is_named_is_explained_whatever_the_most_probable_one_is(client):
    texts = {"A lovely film": "lovely", "An awful film": "awful"}
    for label, sign in (("positive", 1), ("negative", -1)):
        results = classify(client, [*texts], contributions=label)
        assert [result["label"] for result in results] == ["positive", "negative"]
        for text, result in zip(texts, results, strict=True):
            check_sum(text, result, label)
            (word,) = (one for one in result["contributions"]["tokens"] if one["text"] == texts[text])
            assert (sign * word["contribution"] > 0) == (text == "A lovely film")
            assert max(abs(one["contribution"]) for one in result["contributions"]["tokens"]) == abs(
                word["contribution"]
            )
    assert classify(client, "An awful film", contributions="negative") == results[1:]
    assert classify(client, "An awful film", contributions=True) == results[1:]


@pytest.mark.parametrize(("label", "got"), [("good", "got 'good'"), ("", "got ''"), ("x" * 100, f"got '{'x' * 40}…'")])
def test_a_label_that_the_model_does_not_have_is_refused(client, label, got):
    response = client.post("/classify", json={"text": "fine", "contributions": label})
    assert response.status_code == 422
    (error,) = response.json()["errors"]
    assert (error["pointer"], error["problem"]) == ("/contributions", got)
    assert error["allowed"] == "true, false, or one of the labels negative, neutral, positive"


def test_a_text_in_windows_has_contributions_that_sum_as_well(client):
    (result,) = classify(client, TEXT * 60, contributions=True)
    why = result["contributions"]
    assert len(why["tokens"]) > 600
    assert why["baseline"] + sum(t["contribution"] for t in why["tokens"]) == pytest.approx(why["score"], abs=1e-4)


def test_a_blank_text_has_no_tokens_and_its_score_is_the_baseline(client):
    (result,) = classify(client, " ", contributions=True, sentences=True)
    assert result["contributions"]["tokens"] == result["sentences"] == []
    assert result["contributions"]["baseline"] == result["contributions"]["score"]


@pytest.mark.parametrize(
    ("unit", "coding", "width"), [("code_points", "utf-32-le", 4), ("utf16", "utf-16-le", 2), ("utf8", "utf-8", 1)]
)
def test_sentences_are_judged_as_if_they_stood_alone(client, unit, coding, width):
    (result,) = classify(client, TEXT, sentences=True, contributions=True, offsets=unit)
    texts = [sentence["text"] for sentence in result["sentences"]]
    assert texts == ["Not a lovely film.", "A fine plot 🙂, a weak film."]
    for part in (*result["sentences"], *result["contributions"]["tokens"]):
        cut = TEXT.encode(coding)[part["start"] * width : part["end"] * width]
        assert cut.decode(coding) == part["text"]
    alone = classify(client, texts)
    for part, expected in zip(result["sentences"], alone, strict=True):
        assert part["label"] == expected["label"]
        assert part["scores"] == pytest.approx(expected["scores"], abs=2e-5)
    (whole,) = classify(client, TEXT)
    assert result["scores"] == pytest.approx(whole["scores"], abs=2e-5)
