"""Lemmas over HTTP: of a tagger with lemma rules, of one without, and on request none."""

import json
from typing import Any

import conllu
import pytest

from tests.http.running import post
from tests.http.scene import without_lemmas
from tests.http.test_tag import tokens_of

TEXT = "Is it a cat? BOXES, ½ cats is a cat."


def answered(**body: Any) -> str:
    """Returns the answer to a request for tags, of a service that has a tagger with lemma rules, and one without."""
    answer = post("/tag", json.dumps(body).encode(), more=[without_lemmas("tagger-without")])
    assert answer.status_code == 200, answer.text
    return answer.text


def tokens(**body: Any) -> list[dict[str, Any]]:
    """Returns the tokens of the last text of an answer in JSON."""
    return tokens_of(json.loads(answered(**body))["results"][-1])


def test_a_tagger_with_lemma_rules_gives_each_token_a_lemma() -> None:
    found = tokens(text=TEXT)
    lemmas = [(token["text"], token["lemma"]) for token in found]
    assert {("cat", "feline"), ("½", "½")} < {*lemmas}, "the first is of its dictionary"
    assert {lemma for form, lemma in lemmas if form == "BOXES"} <= {"boxes", "BOXES", "boxe", "Boxy"}
    assert any(lemma != form for form, lemma in lemmas if form != "cat")
    assert tokens(text=[TEXT, TEXT]) == found, "a lemma that has been seen is the same"


@pytest.mark.parametrize("body", [{"model": "tagger", "lemmas": False}, {"model": "tagger-without"}])
def test_without_lemma_rules_or_on_request_tokens_have_no_lemmas(body: dict[str, Any]) -> None:
    with_lemmas = tokens(model="tagger", text=TEXT)
    assert all(token.pop("lemma") for token in with_lemmas)
    assert tokens(text=TEXT, **body) == with_lemmas
    (sentence, *_) = conllu.parse(answered(text=TEXT, format="conllu", **body))
    assert {token["lemma"] for token in sentence} == {"_"}


def test_given_tokens_have_lemmas_in_windows_of_a_long_sentence() -> None:
    words = ["cats", "is", "Box", "½", "cat"] * 40
    found = tokens(tokens=[words])
    assert [token["text"] for token in found] == words
    assert {token["lemma"] for token in found if token["text"] == "cat"} == {"feline"}
    assert {token["lemma"] for token in found if token["text"] == "½"} == {"½"}
    assert len({token["lemma"] for token in found if token["text"] == "Box"}) > 1, "by the rules of each place"
