"""The client against the real service: what each method returns, lists over the limits, streams of lines."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from pydantic import BaseModel

from service.api import answer_schemas, status
from service.api.feedback import FeedbackAnswer
from tagwerk.client import AsyncClient, Classified, Client, Problem, Refused, Tagged, results
from tagwerk.client.lines import WINDOW
from tagwerk.client.reading import LEAD
from tests.conftest import Server

TEXT = "She didn't see it. Dogs bark."
LESS = (results.Models, results.Limits)  # which have fewer
STRUCTS = [
    one
    for one in vars(results).values()
    if isinstance(one, type) and issubclass(one, msgspec.Struct) and one not in LESS
]
OTHERWISE_NAMED: dict[object, type[BaseModel]] = {results.Model: status.ModelSummary, results.Feedback: FeedbackAnswer}


@pytest.fixture(scope="module")
def caller(server: Server) -> Iterator[Client]:
    with Client(server.url, timeout_seconds=120) as made:
        yield made


def test_each_method_returns_what_its_route_answers(caller: Client, client) -> None:
    (tagged,) = caller.tag(TEXT, n_best=2)
    (answer,) = client.post("/tag", json={"text": TEXT, "n_best": 2}).json()["results"]
    assert tagged == msgspec.convert(answer, Tagged)
    assert [token.text for token in tagged.sentences[0].tokens] == ["She", "did", "n't", "see", "it", "."]
    assert tagged.sentences[0].tokens[2].n_best
    own = caller.tag_tokens([["They", "bark"], ["Cats", "sleep"]])
    assert [sentence.tokens[1].upos for one in own for sentence in one.sentences] == ["VERB", "VERB"]
    good, bad = caller.classify(["A warm, funny film.", "A dull mess."])
    assert (good.label, bad.label) == ("positive", "negative")
    wish: dict[str, Any] = {"contributions": "positive", "sentences": True}
    (answer,) = client.post("/classify", json={"text": TEXT, **wish}).json()["results"]
    (classified,) = caller.classify(TEXT, **wish)
    assert classified == msgspec.convert(answer, Classified)
    assert None not in (classified.score, classified.magnitude, classified.mixed, classified.sentences)
    assert classified.contributions
    assert classified.contributions.label == "positive"
    generated = caller.generate(["ROMEO:", "JULIET:"], n=2, max_tokens=20, seed=7, logprobs=1)
    assert [(text.tokens, text.seed, len(text.logprobs or ())) for text in generated] == [(20, 7, 20), (20, 8, 20)] * 2
    assert "".join(caller.generate_stream("ROMEO:", max_tokens=20, seed=7)) == generated[0].text
    assert {("tagger-en", True), ("sentiment-en", True)} <= {(m.name, m.state == "ready") for m in caller.models()}


def test_corrections_are_stored(caller: Client) -> None:
    (tagged,) = caller.tag("Dogs bark.")
    token = tagged.sentences[0].tokens[1]
    wrong = "NOUN" if token.upos != "NOUN" else "VERB"
    stored = caller.feedback("Dogs bark.", tags=[{"token": 1, "upos": wrong}], model="tagger-en", request_id="7")
    assert (stored.model, stored.changed) == ("tagger-en", 1)
    assert caller.feedback(["Dogs", "bark"], tags=[]).changed == 0
    assert caller.feedback("A dull mess.", label="positive").changed == 1
    with pytest.raises(Refused, match=r"/label"):
        caller.feedback("A dull mess.", label="dull")


def test_a_list_over_the_limits_takes_several_requests(caller: Client) -> None:
    texts = [f"Film number {i} is good." for i in range(2500)]
    found = caller.classify(texts)
    assert len(found) == 2500
    assert found[::800] == [caller.classify(text)[0] for text in texts[::800]]
    long = ["A good film. " * 5000] * 7  # 65 000 characters each, of 200 000 in a request
    assert [one.label for one in caller.classify(long)] == ["positive"] * 7
    assert caller.tag([]) == []


def test_what_is_refused_says_why(caller: Client) -> None:
    with pytest.raises(Refused, match="no model 'nope'") as refused:
        caller.tag(TEXT, model="nope")
    assert refused.value.problem.type == "urn:tagwerk:problem:model-not-found"
    with pytest.raises(Refused, match=r"/language") as refused:
        caller.tag(TEXT, language="English")
    assert refused.value.problem.status == 422
    assert refused.value.problem.errors[0].pointer == "/language"
    with pytest.raises(Refused) as refused:
        list(caller.generate_stream("A", max_tokens=-1))
    assert isinstance(refused.value.problem, Problem)
    with pytest.raises(TypeError, match="7 is neither a text nor a sequence of texts"):
        caller.tag(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tag_lines and classify_lines take streams"):
        caller.classify(text for text in [TEXT])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="is not the address of a service; right: http://"):
        Client("localhost:8000")
    with pytest.raises(ValueError, match="allowed: above 0"):
        Client(timeout_seconds=0)


def test_lines_are_answered_in_order(caller: Client) -> None:
    texts = [f"Film number {i} is {'good' if i % 3 else 'bad'}." for i in range(1500)]
    assert list(caller.classify_lines(texts)) == caller.classify(texts)
    tagged = list(caller.tag_lines(["Dogs bark.", "", "Cats sleep."], lemmas=False))
    assert [len(one.sentences) for one in tagged if isinstance(one, Tagged)] == [1, 0, 1]


def test_a_refused_line_is_raised_or_stands_in_the_place_of_its_result(caller: Client) -> None:
    texts = ["Good.", "x" * 200_001, "Bad."]
    found = list(caller.classify_lines(texts, return_errors=True))
    assert [type(one) for one in found] == [Classified, Refused, Classified]
    read = caller.classify_lines(texts)
    assert isinstance(next(read), Classified)
    with pytest.raises(Refused, match="200000"):
        list(read)


def test_a_source_is_read_no_faster_than_results_are_taken(caller: Client) -> None:
    read = 0

    def source() -> Iterator[str]:
        nonlocal read
        while True:
            read += 1
            yield "A good film."

    taken = caller.classify_lines(source())
    for count in range(1, 1001):
        next(taken)
        assert read <= count + WINDOW + WINDOW + LEAD + 2
    taken.close()  # type: ignore[attr-defined]
    assert caller.classify("Good.")[0].label == "positive"


def test_an_error_of_the_source_reaches_who_takes_the_results(caller: Client) -> None:
    def source() -> Iterator[str]:
        yield "Good."
        raise OSError("the file ends half-way")

    with pytest.raises(OSError, match="ends half-way"):
        list(caller.classify_lines(source()))


async def test_many_calls_run_at_once_in_one_event_loop(server: Server) -> None:
    async with AsyncClient(server.url, timeout_seconds=120, connections=8) as asynchronous:

        async def lines() -> int:
            return len([one async for one in asynchronous.tag_lines(f"Dog {i} barks." for i in range(200))])

        counting = asyncio.create_task(lines())
        classified = await asyncio.gather(*(asynchronous.classify(f"Film {i} is good.") for i in range(1, 201)))
        assert {one.label for (one,) in classified} == {"positive"}
        assert await counting == 200


@pytest.mark.parametrize("own", STRUCTS)
def test_a_result_has_the_fields_that_the_service_documents(own: type[msgspec.Struct]) -> None:
    schema = OTHERWISE_NAMED.get(own) or getattr(answer_schemas, own.__name__)
    assert {field.name for field in msgspec.structs.fields(own)} == set(schema.model_fields)
