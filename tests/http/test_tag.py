import re
from itertools import product
from typing import Any

import conllu
import httpx
import pytest

from service.api import answer_schemas
from tests.pipelines.ud_validity import check

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


def tag(client: httpx.Client, **body: object) -> dict[str, Any]:
    response = client.post("/tag", json=body)
    assert response.status_code == 200, response.text
    answer_schemas.TagAnswer.model_validate(response.json(), strict=True, extra="forbid")
    answer: dict[str, Any] = response.json()
    return answer


def tokens_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns the tokens of a text."""
    return [token for sentence in result["sentences"] for token in sentence["tokens"]]


def test_a_text_is_split_and_tagged(client):
    answer = tag(client, text="The quick brown fox jumps over the lazy dog. She didn't see it!")
    assert answer["model"] == "tagger-en"
    assert int(answer["version"]) >= 1
    first, second = (sentence["tokens"] for sentence in answer["results"][0]["sentences"])
    assert [token["text"] for token in second] == ["She", "did", "n't", "see", "it", "!"]
    assert [token["upos"] for token in first][-3:] == ["ADJ", "NOUN", "PUNCT"]
    assert (second[0]["upos"], second[0]["xpos"], second[0]["feats"]["Person"]) == ("PRON", "PRP", "3")
    assert all(0 < token["confidence"] <= 1 for token in first)


def test_tokens_have_lemmas(client):
    text = "Mice were seen in the cities of France. She didn't take 1,500 zorbles."
    (result,) = tag(client, text=text)["results"]
    lemmas = {token["text"]: token["lemma"] for token in tokens_of(result)}
    known = {"were": "be", "seen": "see", "cities": "city", "of": "of", "France": "France", "did": "do", "n't": "not"}
    assert lemmas == lemmas | known | {"1,500": "1500", "zorbles": "zorble"}


def test_the_lemmas_of_a_sentence_are_the_same_alone_and_among_a_thousand_new_words(client):
    parts = (("br", "cl", "dr", "fl", "gr"), ("al", "em", "in", "ot", "ud"), ("ers", "ed"))
    made = list(map("".join, product(*parts)))
    sentences = [[f"{word}{i}" if i % 7 == 0 else word for word in made] for i in range(20)]
    together = [[token["lemma"] for token in tokens_of(one)] for one in tag(client, tokens=sentences)["results"]]
    assert all(map(all, together))
    for words, lemmas in zip(sentences[::5], together[::5], strict=True):
        (alone,) = tag(client, tokens=[words])["results"]
        assert [token["lemma"] for token in tokens_of(alone)] == lemmas


@pytest.mark.parametrize(
    ("unit", "encoding", "width"), [(None, "utf-32-le", 4), ("utf16", "utf-16-le", 2), ("utf8", "utf-8", 1)]
)
@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE.keys())
def test_offsets_count_what_the_client_counts_whatever_the_text_holds(client, text, unit, encoding, width):
    encoded = text.encode(encoding)
    (result,) = tag(client, text=text, **({"offsets": unit} if unit else {}))["results"]
    place = 0
    for sentence in result["sentences"]:
        for part in (sentence, *sentence["tokens"], *sentence["multiword_tokens"]):
            assert encoded[part["start"] * width : part["end"] * width].decode(encoding) == part["text"]
        for token in sentence["tokens"]:
            assert place <= token["start"] < token["end"] <= sentence["end"]
            place = token["end"]
    assert "".join(token["text"] for token in tokens_of(result)) == "".join(text.split()), "a character got lost"


def test_each_token_has_its_next_best_tags_the_answer_first(client):
    text = "Time flies like an arrow. " + "It is a long road " * 30  # in several windows
    (plain,) = tag(client, text=text)["results"]
    (result,) = tag(client, text=text, n_best=3)["results"]
    for known, token in zip(tokens_of(plain), tokens_of(result), strict=True):
        best = token.pop("n_best")
        feats = "|".join(f"{name}={value}" for name, value in token["feats"].items()) or "_"
        for kind, answer in (("upos", token["upos"]), ("xpos", token["xpos"]), ("feats", feats)):
            assert best[kind][0]["tag"] == answer
            probabilities = [candidate["probability"] for candidate in best[kind]]
            assert probabilities == sorted(probabilities, reverse=True)
            assert len({candidate["tag"] for candidate in best[kind]}) == 3
            assert sum(probabilities) <= 1 + 1e-5
        assert best["upos"][0]["probability"] == token["confidence"]
        assert token.pop("confidence") == pytest.approx(known.pop("confidence"), abs=2e-5)
    assert result == plain, "the answer is the same"


def test_texts_are_answered_in_order_and_as_each_alone(client):
    texts = ["Dogs bark.", "", "He reads a book about the long history of the small town.", " \n\t ", "Go!"]
    together = tag(client, text=texts)["results"]
    assert together[1] == together[3] == {"sentences": []}
    assert together == [tag(client, text=text)["results"][0] for text in texts]


def test_tokens_are_taken_as_they_are(client):
    (first,), (_,) = (
        one["sentences"] for one in tag(client, tokens=[["do", "n't", "New York", "..."], ["Yes"]])["results"]
    )
    assert [token["text"] for token in first["tokens"]] == ["do", "n't", "New York", "..."]
    assert first["text"] == "do n't New York ..."
    assert all(first["text"][token["start"] : token["end"]] == token["text"] for token in first["tokens"])
    assert first["multiword_tokens"] == []


def test_multiword_tokens_name_their_tokens(client):
    (result,) = tag(client, text="She didn't see it, and they'd've gone.")["results"]
    (sentence,) = result["sentences"]
    assert [
        (m["text"], [t["text"] for t in sentence["tokens"][m["first"] : m["last"] + 1]])
        for m in sentence["multiword_tokens"]
    ] == [("didn't", ["did", "n't"]), ("they'd've", ["they", "'d", "'ve"])]


TEXTS = ["She didn't see it. He did!", "", "The naïve 🙂 fox's den (in\nRome)."]


def test_conllu_says_what_json_says(client):
    answer = tag(client, text=TEXTS, offsets="utf16")
    response = client.post("/tag", json={"text": TEXTS, "format": "conllu", "offsets": "utf16"})
    assert response.headers["content-type"] == "text/x-conllu; charset=utf-8"
    parsed = conllu.parse(response.text)
    chain = client.post("/tag", json={"text": TEXTS, "format": "conllu-chain", "offsets": "utf16"})
    assert chain.headers["content-type"] == response.headers["content-type"]
    assert len(check(chain.text, has_heads=True)) == len(parsed)
    assert re.sub(r"\t\d+\t(root|dep)\t_\t", "\t_\t_\t_\t", chain.text) == response.text
    expected = [(f"{i}-{j}", s) for i, r in enumerate(answer["results"], 1) for j, s in enumerate(r["sentences"], 1)]
    assert parsed[0].metadata["generator"].endswith(f"tagger-en/{answer['version']}")
    for (sent_id, sentence), block in zip(expected, parsed, strict=True):
        assert block.metadata["sent_id"] == sent_id
        assert ("newdoc id" in block.metadata) == sent_id.endswith("-1")
        words = [token for token in block if isinstance(token["id"], int)]
        assert [(w["form"], w["lemma"], w["upos"], w["xpos"], w["feats"] or {}) for w in words] == [
            (t["text"], t["lemma"], t["upos"], t["xpos"], t["feats"]) for t in sentence["tokens"]
        ]
        ranges = {token["form"]: token["misc"]["TokenRange"] for token in block if not isinstance(token["id"], int)}
        assert ranges == {m["text"]: f"{m['start']}:{m['end']}" for m in sentence["multiword_tokens"]}
        assert block.metadata["text"] == " ".join(sentence["text"].split())


@pytest.mark.parametrize(
    ("accept", "format", "expected"),
    [
        ("text/x-conllu", None, "text/x-conllu"),
        ("application/json;q=0.5, text/*", None, "text/x-conllu"),
        ("text/x-conllu", "json", "application/json"),
        ("*/*", "conllu", "text/x-conllu"),
        ("application/json", "conllu-chain", "text/x-conllu"),
        ("text/html, */*;q=0.1", None, "application/json"),
    ],
)
def test_the_client_chooses_the_form(client, accept, format, expected):
    response = client.post("/tag", json={"text": "A dog.", "format": format}, headers={"Accept": accept})
    assert response.headers["content-type"].split(";")[0] == expected


def test_a_french_text_is_split_into_the_words_of_its_treebank(client):
    text = "Il est allé au marché. Elle parle du climat aux élèves !"
    answer = tag(client, text=text, language="fr")
    assert answer["model"] == "tagger-fr"
    first, second = answer["results"][0]["sentences"]
    assert [token["text"] for token in first["tokens"]] == ["Il", "est", "allé", "à", "le", "marché", "."]
    assert [token["lemma"] for token in first["tokens"]][1:] == ["être", "aller", "à", "le", "marché", "."]
    assert [word["text"] for word in second["multiword_tokens"]] == ["du", "aux"]
    of, the = second["tokens"][2:4]
    assert (of["text"], of["start"], of["end"]) == ("de", 34, 36)
    assert (the["text"], the["start"], the["end"]) == ("le", 34, 36)


def test_a_text_in_a_script_from_right_to_left_keeps_its_order_and_offsets(client):
    text = "הכלב ישן. החתול אכל 3 דגים!"
    tokens = tokens_of(tag(client, text=text, language="fr")["results"][0])
    assert [token["text"] for token in tokens] == ["הכלב", "ישן", ".", "החתול", "אכל", "3", "דגים", "!"]
    assert all(text[token["start"] : token["end"]] == token["text"] for token in tokens)
