"""Which version of a model takes a request."""

import asyncio
import threading
from collections import Counter, defaultdict
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from service.artifact.version import ModelVersion
from service.errors import ArtifactError, ConfigurationError, EngineUnavailable, ModelNotFound
from service.pipelines.catalog import Catalog
from service.tasks.generation import TextGeneration
from service.text.vocabulary import Vocabulary
from service.types import ModelKey, ModelState, State
from tests.engine.test_engines import until
from tests.fakes import version_of


def read(folder: Path) -> ModelVersion:
    version = version_of(folder.parent.name, "generate", version=folder.name)
    return replace(version, vocabularies={"characters": Vocabulary(list("ab"))})


def catalog(**shares: dict[str, float]) -> Catalog:
    """A catalog of models that are ready, with the shares of their versions; requests are drawn evenly."""
    numbers = count()
    made = Catalog(Path("store"), draw=lambda: next(numbers) % 100 / 100, read=read)
    made.update([state(f"{name}/{v}", share) for name, of in shares.items() for v, share in of.items()])
    return made


def state(key: str, share: float = 1.0, state: State = State.READY) -> ModelState:
    return ModelState(ModelKey(*key.split("/")), state, None, share)


def defaults(made: Catalog) -> list[bool]:
    """Returns, of each state, whether its version is of the default model."""
    versions = [made.version(state) for state in made.states]
    return [made.is_default(version) for version in versions if version is not None]


def drawn(made: Catalog, name: str | None) -> Counter[str]:
    return Counter(str(made.find(TextGeneration, name).version.key) for _ in range(100))


def test_versions_share_the_requests_that_name_none():
    made = catalog(lm={"2": 0.9, "10": 0.1}, other={"1": 1.0})
    for name in (None, "lm"):
        assert drawn(made, name) == {"lm/10": 10, "lm/2": 90}
    assert drawn(made, "other") == {"other/1": 100}
    assert [str(s.key) for s in made.states] == ["lm/10", "lm/2", "other/1"]
    assert defaults(made) == [True, True, False]


LANGUAGES = {"lm-de": "de", "lm-en": "en", "lm-fr": "fr", "lm-gb": "en-GB"}


def test_a_request_may_name_a_language():
    def read_with_language(folder: Path) -> ModelVersion:
        version = read(folder)
        changed = version.manifest.model_copy(update={"language": LANGUAGES[folder.parent.name]})
        return replace(version, manifest=changed)

    made = Catalog(Path("store"), read=read_with_language)
    made.update([replace(state(f"{name}/1"), default=name == "lm-en") for name in LANGUAGES])
    asked = {None: "lm-en", "en": "lm-en", "fr": "lm-fr", "FR-ca": "lm-fr", "en-gb": "lm-gb", "en-US": "lm-en"}
    assert {language: made.find(TextGeneration, None, language).version.key.name for language in asked} == asked
    with pytest.raises(ModelNotFound, match="no model of the language 'es' is loaded for this; there is: de, en, en-"):
        made.find(TextGeneration, None, "es")


def test_a_request_may_name_a_version_that_has_no_share():
    made = catalog(lm={"2": 1.0, "1": 0.0})
    assert drawn(made, None) == {"lm/2": 100}
    assert drawn(made, "lm/1") == {"lm/1": 100}
    assert defaults(made) == [True, False]
    with pytest.raises(ModelNotFound, match="no model 'lm/3' is loaded for this; there is: lm/2, lm/1"):
        made.find(TextGeneration, "lm/3")
    with pytest.raises(ModelNotFound, match=r"there is: lm$"):
        made.find(TextGeneration, "other")


def test_what_the_engine_no_longer_has_is_forgotten():
    made = catalog(lm={"1": 1.0})
    before = made.find(TextGeneration, None)
    made.update([state("lm/2"), state("lm/1", 0.0)])
    assert made.find(TextGeneration, "lm/1") is before, "it is not read again"
    made.update([state("lm/2")])
    with pytest.raises(ModelNotFound):
        made.find(TextGeneration, "lm/1")
    assert made.loading == frozenset()
    made.update([state("lm/2", state=State.STARTING)])
    assert made.loading == {"generate"}
    with pytest.raises(EngineUnavailable):
        made.find(TextGeneration, None)
    made.update([state("lm/2", state=State.STARTING), state("lm/1")])
    assert made.loading == frozenset(), "another version serves"


def test_before_the_first_report_models_may_still_come():
    with pytest.raises(EngineUnavailable):
        Catalog(Path("store")).find(TextGeneration, None)


def test_a_version_that_cannot_be_read_here_is_refused_here(caplog):
    def fail(folder: Path) -> ModelVersion:
        raise ArtifactError(f"{folder} is broken")

    made = Catalog(Path("store"), read=fail)
    made.update([state("lm/1")])
    assert [(s.state, s.reason) for s in made.states] == [(State.REFUSED, "store/lm/1 is broken")]
    assert "refused lm/1 here, though the engine serves it: store/lm/1 is broken" in caplog.text


def test_a_model_that_is_not_the_default_answers_only_those_that_name_it():
    made = Catalog(Path("store"), read=read)
    states = [replace(state("a-lm/1"), default=False), state("lm/1")]
    made.update(states)
    assert str(made.find(TextGeneration, None).version.key) == "lm/1"
    assert str(made.find(TextGeneration, "a-lm").version.key) == "a-lm/1"
    assert defaults(made) == [False, True]
    made.update(states[:1])
    with pytest.raises(ModelNotFound, match="the default model for this is not loaded; name one that is: a-lm"):
        made.find(TextGeneration, None)


class Reading:
    """Reads versions in threads, each when the test lets it."""

    def __init__(self) -> None:
        self.threads: list[int] = []
        self.folders: list[str] = []
        self.go: dict[str, threading.Event] = defaultdict(threading.Event)

    def __call__(self, folder: Path) -> ModelVersion:
        self.threads.append(threading.get_ident())
        self.folders.append(f"{folder.parent.name}/{folder.name}")
        assert self.go[self.folders[-1]].wait(10)
        return read(folder)


def test_versions_are_read_in_a_thread_and_taken_over_in_one_go():
    async def test() -> None:
        reading = Reading()
        made = Catalog(Path("store"), read=reading)
        reading.go["lm/1"].set()
        await made.follow([state("lm/1")])
        following = asyncio.create_task(made.follow([state("lm/3"), state("lm/2", 0.0)]))
        reading.go["lm/3"].set()
        await until(lambda: len(reading.folders) == 3)
        assert drawn(made, None) == {"lm/1": 100}, "as long as one of them is not read"
        assert not following.done()
        reading.go["lm/2"].set()
        await following
        assert [str(s.key) for s in made.states] == ["lm/3", "lm/2"]
        assert threading.get_ident() not in reading.threads

    asyncio.run(test())


def test_a_later_report_takes_the_place_of_one_that_is_still_being_read():
    async def test() -> None:
        reading = Reading()
        made = Catalog(Path("store"), read=reading)
        first = asyncio.create_task(made.follow([state("lm/1")]))
        await until(lambda: reading.folders)
        both = asyncio.create_task(made.follow([state("lm/2"), state("lm/1", 0.0)]))
        await until(lambda: len(reading.folders) == 2)
        await made.follow([state("lm/1", state=State.REFUSED)])
        assert [s.state for s in made.states] == [State.REFUSED]
        for event in reading.go.values():
            event.set()
        await asyncio.gather(first, both)
        assert [s.state for s in made.states] == [State.REFUSED], "what came before the last report is dropped"
        assert sorted(reading.folders) == ["lm/1", "lm/2"], "none was read twice"

    asyncio.run(test())


@pytest.mark.parametrize("error", [KeyError("xpos"), RecursionError(), ConfigurationError("no key")], ids=repr)
def test_whatever_fails_while_a_version_is_read_refuses_it_alone(error, caplog):
    def fail(folder: Path) -> ModelVersion:
        if folder.parent.name == "odd":
            raise error
        return read(folder)

    async def test() -> None:
        made = Catalog(Path("store"), read=fail)
        for _ in range(3):
            await made.follow([state("lm/1"), state("odd/1")])
        assert [s.state for s in made.states] == [State.READY, State.REFUSED]
        assert type(error).__name__ in str(made.states[1].reason)
        assert drawn(made, None) == {"lm/1": 100}
        assert caplog.text.count("refused odd/1 here") == 1

    asyncio.run(test())
