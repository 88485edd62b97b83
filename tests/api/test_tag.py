import httpx
import pytest

from service.api import schemas

STRANGE = {
    "emoji": "I ❤️ 👩‍👩‍👧‍👦 and 🇩🇪 so much! Really 😀.",
    "right to left": "قال الرجل: «مرحبا». Then he left. שלום עולם.",
    "control characters": "one\x00two\x07 three\x1b[0m\tfour\u200bfive\u2028six\x85seven",
    "long word": "Say " + "ab" * 5000 + " now.",
    "long sentence": "word " * 5000,
    "combining": "Cafe\u0301 nai\u0308ve e\u0301te\u0301",
    "astral": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 is 𝒇𝒖𝒏.",
    "windows line ends": "First line.\r\nSecond line.\r\n\r\nThird.",
    "only punctuation": "!!! ... ???",
}


def tag(client: httpx.Client, **body: object) -> dict:
    response = client.post("/tag", json=body)
    assert response.status_code == 200, response.text
    schemas.TagAnswer.model_validate(response.json(), strict=True, extra="forbid")
    return response.json()


def test_a_text_is_split_and_tagged(client):
    answer = tag(client, text="The quick brown fox jumps over the lazy dog. She didn't see it!")
    assert (answer["model"], answer["version"]) == ("tagger-en", "1")
    first, second = answer["results"][0]["sentences"]
    assert [token["text"] for token in second["tokens"]] == ["She", "did", "n't", "see", "it", "!"]
    assert [token["upos"] for token in first["tokens"]][-3:] == ["ADJ", "NOUN", "PUNCT"]
    assert second["tokens"][0]["upos"] == "PRON"
    assert second["tokens"][0]["xpos"] == "PRP"
    assert second["tokens"][0]["feats"]["Person"] == "3"
    assert all(0 < token["confidence"] <= 1 for token in first["tokens"])


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE.keys())
def test_offsets_are_code_points_of_the_input_whatever_it_holds(client, text):
    (result,) = tag(client, text=text)["results"]
    place = 0
    for sentence in result["sentences"]:
        assert sentence["text"] == text[sentence["start"] : sentence["end"]]
        for token in sentence["tokens"]:
            assert token["text"] == text[token["start"] : token["end"]]
            assert place <= token["start"] < token["end"] <= sentence["end"]
            place = token["end"]
    covered = "".join(token["text"] for sentence in result["sentences"] for token in sentence["tokens"])
    assert covered == "".join(text.split()), "a character got lost"


def test_texts_are_answered_in_order_and_as_each_alone(client):
    texts = ["Dogs bark.", "", "He reads a book about the long history of the small town.", " \n\t ", "Go!"]
    together = tag(client, text=texts)["results"]
    for text, result in zip(texts, together, strict=True):
        (alone,) = tag(client, text=text)["results"]
        assert [len(s["tokens"]) for s in alone["sentences"]] == [len(s["tokens"]) for s in result["sentences"]]
        for mine, other in zip(alone["sentences"], result["sentences"], strict=True):
            for a, b in zip(mine["tokens"], other["tokens"], strict=True):
                assert abs(a.pop("confidence") - b.pop("confidence")) <= 2e-5
                assert a == b


def test_blank_text_has_no_sentences(client):
    assert tag(client, text=["", "  \n "])["results"] == [{"sentences": []}, {"sentences": []}]


def test_tokens_are_taken_as_they_are(client):
    answer = tag(client, tokens=[["do", "n't", "New York", "..."], ["Yes"]])
    first, second = (result["sentences"] for result in answer["results"])
    assert (len(first), len(second)) == (1, 1)
    assert [token["text"] for token in first[0]["tokens"]] == ["do", "n't", "New York", "..."]
    assert first[0]["text"] == "do n't New York ..."
    for token in first[0]["tokens"]:
        assert first[0]["text"][token["start"] : token["end"]] == token["text"]


def test_one_sentence_of_five_thousand_words_is_tagged_whole(client):
    (result,) = tag(client, tokens=[["The", "old", "dog", "sleeps"] * 1250])["results"]
    tags = [token["upos"] for token in result["sentences"][0]["tokens"]]
    assert len(tags) == 5000
    middle = tags[400:-400]
    assert all(middle[i : i + 4] == ["DET", "ADJ", "NOUN", "VERB"] for i in range(0, 4000, 4)), "a seam shows"
