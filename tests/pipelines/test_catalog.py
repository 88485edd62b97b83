"""Which version of a model takes a request."""

import random
from collections import Counter
from dataclasses import replace

import pytest

from service.artifact.manifest import ModelVersion
from service.errors import ArtifactError, EngineUnavailable, ModelNotFound
from service.pipelines.catalog import Catalog, Dictionaries
from service.settings import Settings
from service.tasks.generation import TextGeneration
from service.telemetry.metrics import Metrics
from service.text.languages import named_tokenizer
from service.text.vocabulary import Vocabulary
from service.types import ModelKey, ModelState, State
from tests.fakes import version_of

NO_DICTIONARIES = Dictionaries(Settings(), Metrics())


def version(key: str, language: str = "en", tokenizer: str | None = None) -> ModelVersion:
    name, number = key.split("/")
    made = version_of(name, "generate", version=number, language=language, tokenizer=tokenizer)
    return replace(made, vocabularies={"characters": Vocabulary(list("ab"))})


def state(key: str, share: float = 1.0, state: State = State.READY) -> ModelState:
    return ModelState(ModelKey(*key.split("/")), state, None, share, task="generate")


def catalog(*states: ModelState, **languages: str) -> Catalog:
    """Returns a catalog of models that are ready, in English unless their language is named."""
    made = Catalog(NO_DICTIONARIES)
    for one in states:
        made.prepare(version(str(one.key), languages.get(one.key.name, "en")))
    made.update(states)
    return made


def drawn(made: Catalog, name: str | None) -> Counter[str]:
    return Counter(str(made.find(TextGeneration, name).version.key) for _ in range(100))


def test_versions_share_the_requests_that_name_none():
    random.seed(1)
    made = catalog(state("lm/2", 0.9), state("other/1"), state("lm/10", 0.1))
    for name in (None, "lm"):
        found = drawn(made, name)
        assert found.keys() == {"lm/10", "lm/2"}
        assert 5 <= found["lm/10"] <= 15
    assert drawn(made, "other") == {"other/1": 100}
    assert [str(s.key) for s in made.states] == ["lm/10", "lm/2", "other/1"]


def test_a_request_may_name_a_language():
    languages = {"de": "de", "en": "en", "fr": "fr", "gb": "en-GB"}
    made = catalog(*(replace(state(f"{name}/1"), default=name == "en") for name in languages), **languages)
    asked = {None: "en", "en": "en", "fr": "fr", "FR-ca": "fr", "en-gb": "gb", "en-US": "en"}
    assert {language: made.find(TextGeneration, None, language).version.key.name for language in asked} == asked
    with pytest.raises(ModelNotFound, match="no model of the language 'es' is loaded for this; there is: de, en, en-"):
        made.find(TextGeneration, None, "es")


def test_a_request_may_name_a_version_that_has_no_share_once_all_processes_have_it():
    made = catalog(state("lm/2"), state("lm/1", 0.0))
    for name, expected in ((None, "lm/2"), ("lm/2", "lm/2"), ("lm/1", "lm/1")):
        assert drawn(made, name) == {expected: 100}
    with pytest.raises(ModelNotFound, match="no model 'lm/3' is loaded for this; there is: lm/2, lm/1"):
        made.find(TextGeneration, "lm/3")
    with pytest.raises(ModelNotFound, match=r"there is: lm$"):
        made.find(TextGeneration, "other")
    made.update([replace(state("lm/2"), named=False), state("lm/1", 0.0)])
    for name, expected in ((None, "lm/2"), ("lm/1", "lm/1")):
        assert drawn(made, name) == {expected: 100}
    with pytest.raises(ModelNotFound, match="no model 'lm/2' is loaded for this"):
        made.find(TextGeneration, "lm/2")


def test_a_version_that_is_not_ready_takes_no_requests():
    made = catalog(state("lm/2"), state("lm/1", 0.0))
    made.update([state("lm/1", 0.5), state("lm/2", 0.5, State.REFUSED)])
    assert drawn(made, "lm") == {"lm/1": 100}
    assert [s.state for s in made.states] == [State.REFUSED, State.READY]


def test_versions_that_are_no_longer_there_are_forgotten():
    made = catalog(state("lm/1"))
    before = made.find(TextGeneration, None)
    made.prepare(version("lm/2"))
    made.update([state("lm/2"), state("lm/1", 0.0)])
    assert made.find(TextGeneration, "lm/1") is before, "it is not built again"
    made.update([state("lm/2")])
    with pytest.raises(ModelNotFound):
        made.find(TextGeneration, "lm/1")


def test_while_a_model_is_loaded_requests_for_it_are_told_so_unless_another_version_serves():
    made = Catalog(NO_DICTIONARIES)
    made.prepare(version("lm/1"))
    for states in ([], [state("lm/2", state=State.STARTING)]):
        made.update(states)
        with pytest.raises(EngineUnavailable, match="still being loaded"):
            made.find(TextGeneration, None)
    made.update([state("lm/2", state=State.STARTING), state("lm/1")])
    assert drawn(made, None) == {"lm/1": 100}


def test_a_version_is_offered_with_the_tokenizer_that_it_has_learned_with():
    made, one = Catalog(NO_DICTIONARIES), version("lm/1", tokenizer="spacy-fr")
    made.prepare(one)
    assert made.tokenizer(one) is named_tokenizer("spacy-fr")
    assert made.version(one.key) is one
    assert made.version(ModelKey("lm", "2")) is None


def test_a_version_whose_task_cannot_be_built_raises_and_leaves_the_others():
    made = catalog(state("lm/1"))
    with pytest.raises((ArtifactError, KeyError)):
        made.prepare(replace(version("lm/2"), vocabularies={}))
    made.update([state("lm/1"), state("lm/2", state=State.REFUSED)])
    assert drawn(made, None) == {"lm/1": 100}


def test_a_model_that_is_not_the_default_answers_only_those_that_name_it():
    states = [replace(state("a-lm/1"), default=False), state("lm/1")]
    made = catalog(*states)
    assert str(made.find(TextGeneration, None).version.key) == "lm/1"
    assert str(made.find(TextGeneration, "a-lm").version.key) == "a-lm/1"
    made.update(states[:1])
    with pytest.raises(ModelNotFound, match="the default model for this is not loaded; name one that is: a-lm"):
        made.find(TextGeneration, None)
