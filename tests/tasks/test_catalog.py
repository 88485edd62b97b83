"""Which version of a model takes a request."""

from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from service.engine.protocol import ModelKey, ModelState, State
from service.errors import ArtifactError, EngineUnavailable, ModelNotFound
from service.registry import ModelVersion
from service.tasks.catalog import Catalog
from service.tasks.generation import TextGeneration
from service.text.vocabulary import Vocabulary
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


def drawn(made: Catalog, name: str | None) -> Counter[str]:
    return Counter(str(made.find(TextGeneration, name).version.key) for _ in range(100))


def test_versions_share_the_requests_that_name_none():
    made = catalog(lm={"2": 0.9, "10": 0.1}, other={"1": 1.0})
    for name in (None, "lm"):
        assert drawn(made, name) == {"lm/10": 10, "lm/2": 90}
    assert drawn(made, "other") == {"other/1": 100}
    assert [str(s.key) for s in made.states] == ["lm/10", "lm/2", "other/1"]
    assert [made.is_default(made.version(s)) for s in made.states] == [True, True, False]


def test_a_request_may_name_a_version_that_has_no_share():
    made = catalog(lm={"2": 1.0, "1": 0.0})
    assert drawn(made, None) == {"lm/2": 100}
    assert drawn(made, "lm/1") == {"lm/1": 100}
    assert [made.is_default(made.version(s)) for s in made.states] == [True, False]
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
    made.update([state("lm/2", state=State.STARTING)])
    with pytest.raises(EngineUnavailable):
        made.find(TextGeneration, None)


def test_before_the_first_report_models_may_still_come():
    with pytest.raises(EngineUnavailable):
        Catalog(Path("store")).find(TextGeneration, None)


def test_a_version_that_cannot_be_read_here_is_refused_here(caplog):
    def fail(folder: Path) -> ModelVersion:
        raise ArtifactError(f"{folder} is broken")

    made = Catalog(Path("store"), read=fail)
    made.update([state("lm/1")])
    assert [(s.state, s.reason) for s in made.states] == [(State.REFUSED, "store/lm/1 is broken")]
    assert "lm/1 is sound for the engine, but not here" in caplog.text
