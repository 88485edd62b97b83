"""The pipelines as a library, on a test device."""

import asyncio
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf, nan

import pytest
from pydantic import ValidationError

from service.errors import ArtifactError, InvalidInput, ModelNotFound
from service.pipelines import open_async_pipelines, open_pipelines
from service.pipelines.in_process import Pipelines
from tests.conftest import ROOT
from tests.http.scene import SequenceModelDevice
from tests.in_process import use_device, use_test_device


@pytest.fixture(autouse=True)
def loaded(monkeypatch) -> list[str]:
    """Returns a list of the models of each engine that was started."""
    return use_test_device(monkeypatch)


@pytest.fixture
def pipelines(loaded) -> Iterator[Pipelines]:
    with open_pipelines() as opened:
        yield opened


def test_the_example_of_the_documentation_runs(monkeypatch, capsys):
    page = (ROOT / "docs" / "operations.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(code.splitlines()) <= 12
    exec(compile(code, "operations.md", "exec"), {})
    tagged, classified, generated = capsys.readouterr().out.splitlines()
    assert tagged == str([(word, "NOUN") for word in "She did n't see it .".split()])
    assert classified == "good {'bad': 0.25, 'good': 0.75}"
    assert generated


def test_a_text_or_several_blank_ones_too():
    with open_pipelines() as pipelines:
        (one,) = pipelines.tag("Go. Stop.")
        assert [len(sentence.tokens) for sentence in one.sentences] == [2, 2]
        assert [text.text for text in pipelines.tag(["Go.", ""])] == ["Go.", ""]
        (given,) = pipelines.tag_tokens([["do", "n't"]])
        assert [token.text for token in given.sentences[0].tokens] == ["do", "n't"]
        (judged,) = pipelines.classify("Fine. Fine.", sentences=True)
        assert judged.sentences is not None
        assert len(judged.sentences) == 2
        first, second = pipelines.generate(["abc", "x"], max_tokens=2, seed=1)
        assert (first.text, second.text) == ("de", "yz")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_tokens", 0),
        ("temperature", nan),
        ("temperature", 10.5),
        ("top_k", -1),
        ("top_k", 2**31),
        ("top_p", inf),
        ("top_p", 0),
        ("seed", 2**53),
        ("n", 0),
        ("stop", [""]),
        ("stop", "a"),
        ("logprobs", 6),
        ("nothing", 1),
    ],
)
def test_options_of_a_generation_are_checked_as_those_of_a_request(pipelines, name, value):
    with pytest.raises(ValidationError, match=name):
        pipelines.generate("a", **{name: value})


def test_more_texts_than_a_request_may_have_and_longer_ones(monkeypatch):
    for limit in ("ITEMS", "QUEUE_TOKENS", "TEXT_CHARACTERS"):
        monkeypatch.setenv(f"TAGWERK_MAX_{limit}", "1")
    with open_pipelines(tasks=["classify"]) as pipelines:
        assert len(pipelines.classify(["Fine."] * 3000)) == 3000


def test_only_the_models_for_the_tasks_are_loaded_and_the_pipelines_go_on_after_errors(loaded):
    with open_pipelines("elsewhere", tasks=["classify"]) as pipelines:
        with pytest.raises(ModelNotFound):
            pipelines.tag("Go.")
        with pytest.raises(InvalidInput):
            pipelines.classify("Fine.", contributions=True)
        assert pipelines.classify("Fine.")
    assert loaded == ["classifier/1"]


def test_threads_share_pipelines_and_nothing_is_left_running():
    before = threading.active_count()
    with open_pipelines() as pipelines, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(pipelines.tag, [f"Word {i}." for i in range(20)]))
    assert [text.text for (text,) in results] == [f"Word {i}." for i in range(20)]
    assert threading.active_count() == before


async def test_in_an_event_loop():
    async with open_async_pipelines() as pipelines:
        tagged, classified = await asyncio.gather(pipelines.tag("Go."), pipelines.classify("Fine."))
        assert (len(tagged), classified[0].classification.label) == (1, "good")
        assert (await pipelines.generate("a", max_tokens=1))[0].text == "b"


def test_a_model_that_is_refused_is_an_error_and_the_engine_is_closed(monkeypatch):
    class Broken(SequenceModelDevice):
        def load_sequence_model(self, folder, manifest):
            raise ArtifactError("it is broken")

    use_device(monkeypatch, Broken)
    before = threading.active_count()
    with pytest.raises(ArtifactError, match="/1 is refused: it is broken"), open_pipelines():
        pass
    assert threading.active_count() == before
