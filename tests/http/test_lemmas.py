"""Lemmas over HTTP: of a tagger with lemma rules, of one without, and on request none; the same bytes on both ways."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import conllu
import pytest

from tests.http.plain import Service, kept
from tests.http.scene import without_lemmas
from tests.http.test_plain import Sent, check_same

TEXT = "Is it a cat? BOXES, ½ cats is a cat."
Running = tuple[asyncio.Runner, Service]


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    """Starts a service with a tagger that has lemma rules, and one that has none."""
    with kept(log_level="warning", more=[without_lemmas("tagger-without")]) as made:
        yield made


def answered(service: Running, **body: Any) -> bytes:
    """Returns the answer to a request for tags, which is the same on both ways."""
    answer = check_same(service, Sent("/tag", [], json.dumps(body).encode()), chunked=False)
    assert answer.status == 200, answer.body
    return answer.body


def tokens(service: Running, **body: Any) -> list[dict[str, Any]]:
    """Returns the tokens of the first text of an answer in JSON."""
    result = json.loads(answered(service, **body))["results"][0]
    return [token for sentence in result["sentences"] for token in sentence["tokens"]]


def test_a_tagger_with_lemma_rules_gives_each_token_a_lemma(service: Running) -> None:
    found = tokens(service, text=TEXT)
    lemmas = [(token["text"], token["lemma"]) for token in found]
    assert ("cat", "feline") in lemmas, "of its dictionary"
    assert ("½", "½") in lemmas
    assert {lemma for form, lemma in lemmas if form == "BOXES"} <= {"boxes", "BOXES", "boxe", "Boxy"}
    assert any(lemma != form for form, lemma in lemmas if form != "cat")
    assert tokens(service, text=[TEXT, TEXT]) == found, "a lemma that has been seen is the same"


@pytest.mark.parametrize("body", [{"model": "tagger", "lemmas": False}, {"model": "tagger-without"}])
def test_without_lemma_rules_or_on_request_tokens_have_no_lemmas(service: Running, body: dict[str, Any]) -> None:
    with_lemmas = tokens(service, model="tagger", text=TEXT)
    assert all(token.pop("lemma") for token in with_lemmas)
    assert tokens(service, text=TEXT, **body) == with_lemmas
    (sentence, *_) = conllu.parse(answered(service, text=TEXT, format="conllu", **body).decode())
    assert {token["lemma"] for token in sentence} == {"_"}


def test_given_tokens_have_lemmas_in_windows_of_a_long_sentence(service: Running) -> None:
    words = ["cats", "is", "Box", "½", "cat"] * 40
    found = tokens(service, tokens=[words])
    assert [token["text"] for token in found] == words
    assert {token["lemma"] for token in found if token["text"] == "cat"} == {"feline"}
    assert {token["lemma"] for token in found if token["text"] == "½"} == {"½"}
    assert len({token["lemma"] for token in found if token["text"] == "Box"}) > 1, "by the rules of each place"
