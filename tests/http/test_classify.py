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
