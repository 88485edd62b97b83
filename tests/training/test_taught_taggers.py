"""The recipes of taggers that a multilingual transformer teaches."""

from dataclasses import replace

import pytest

from tests.training.tiny import SOURCE, conllu, sentence
from training.data import corpora
from training.data.catalogue import CORPORA
from training.recipes import TAUGHT
from training.recipes._taught_taggers import CORRECTED, RECIPES

WRITTEN = ("written_nl/everyday", "written_nl/prose")


def test_each_has_its_recipe():
    assert RECIPES.keys() == set(TAUGHT)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_its_corpora_are_in_the_catalogue(recipe):
    assert CORPORA[recipe.corpus].licence == recipe.licence
    assert CORPORA[recipe.corpus].files.keys() == {"train", "dev", "test"}
    assert recipe.language in CORPORA[recipe.teaching.text].files
    assert recipe.related in {"", *CORPORA}
    assert not recipe.corrected or recipe.language in CORRECTED
    assert CORPORA[f"written_{recipe.language}"].files.keys() == {*recipe.written, "test"}


@pytest.fixture
def recipe(monkeypatch):
    """The Dutch recipe, of few sentences of its treebanks."""
    parts = {
        "lassysmall": {"train": [*range(6), 9], "dev": [10, 6, 7, 8, 9], "test": [10, 11]},
        "lassysmall_2017": {"train": [0]},
        "alpino": {"dev": [8, 12], "test": [11, 13]},
        "written_nl": {"everyday": [14], "prose": [15, 16]},
    }
    texts = {
        (corpus, split): conllu(map(sentence, rows)).replace("NOUN\t_", "NOUN\tNN")
        for corpus, splits in parts.items()
        for split, rows in splits.items()
    }
    monkeypatch.setattr(corpora, "read", lambda *part: texts[part])
    monkeypatch.setattr(corpora, "sources", lambda corpus: (SOURCE.model_copy(update={"name": corpus}),))
    return replace(RECIPES["tagger-nl"], of_dev=2, native=1, written={"everyday": 3, "prose": 1}, teacher=None)


def test_it_learns_from_a_part_of_dev_and_other_treebanks_and_not_from_test_nor_xpos(recipe):
    task = recipe.task()
    splits = {"train": [*range(6), 6, 7, 12, 13, 14, 14, 14, 15, 16], "dev": [8, 9], "test": [10, 11]}
    for split, rows in splits.items():
        assert [example.source for example in task.examples(split)] == [sentence(i).forms for i in rows]
    assert task.labels["xpos"] == ("_",)
    assert [source.name for source in task.data] == ["lassysmall", "lassysmall_2017", "alpino", *WRITTEN]


def test_a_version_is_measured_without_the_other_treebanks(recipe):
    splits, sources = recipe.splits(measured=True)
    assert [tree.forms for tree in splits["test"]] == [sentence(i).forms for i in (10, 11)]
    assert [source.name for source in sources] == ["lassysmall"]
