"""The pipelines as a library, on a test device."""

import asyncio
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.errors import ArtifactError, InvalidInput, ModelNotFound
from service.pipelines import open_async_pipelines, open_pipelines
from tests.conftest import ROOT
from tests.http.scene import SequenceModelDevice
from tests.in_process import use_device, use_test_device


@pytest.fixture(autouse=True)
def loaded(monkeypatch) -> list[str]:
    """Returns a list of the models of each engine that was started."""
    return use_test_device(monkeypatch)


def test_the_example_of_the_documentation_runs(monkeypatch, capsys):
    page = (ROOT / "docs" / "operations.md").read_text()
    ((code,),) = [re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    assert len(code.splitlines()) <= 12
    exec(compile(code, "operations.md", "exec"), {})
    tagged, classified, generated = capsys.readouterr().out.splitlines()
    assert (
        tagged
        == "[('She', 'NOUN'), ('did', 'NOUN'), (\"n't\", 'NOUN'), ('see', 'NOUN'), ('it', 'NOUN'), ('.', 'NOUN')]"
    )
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


def test_more_texts_than_a_request_may_have_and_longer_ones(monkeypatch):
    monkeypatch.setenv("TAGWERK_MAX_ITEMS", "1")
    monkeypatch.setenv("TAGWERK_MAX_QUEUE_TOKENS", "1")
    monkeypatch.setenv("TAGWERK_MAX_TEXT_CHARACTERS", "1")
    with open_pipelines(tasks=["classify"]) as pipelines:
        assert len(pipelines.classify(["Fine."] * 3000)) == 3000


def test_only_the_models_for_the_tasks_are_loaded(loaded):
    with open_pipelines("elsewhere", tasks=["classify"]) as pipelines, pytest.raises(ModelNotFound):
        pipelines.tag("Go.")
    assert loaded == ["classifier/1"]


def test_errors_reach_the_caller_and_the_pipelines_go_on():
    with open_pipelines() as pipelines:
        with pytest.raises(InvalidInput):
            pipelines.classify("Fine.", contributions=True)
        assert pipelines.classify("Fine.")


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
        def __init__(self) -> None:
            super().__init__()
            self.broken = {"tagger"}

        def load_sequence_model(self, folder, manifest):
            self._checked(manifest)
            return super().load_sequence_model(folder, manifest)

    use_device(monkeypatch, Broken)
    before = threading.active_count()
    with pytest.raises(ArtifactError, match="tagger/1 is refused: tagger is broken"), open_pipelines():
        pass
    assert threading.active_count() == before
