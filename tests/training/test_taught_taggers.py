"""The recipes of taggers that a multilingual transformer teaches."""

from dataclasses import replace

import pytest

from tests.training.tiny import SOURCE, conllu, sentence
from training.data import corpora
from training.data.catalogue import CORPORA
from training.recipes import TAUGHT
from training.recipes._taught_taggers import RECIPES


def test_each_has_its_recipe():
    assert RECIPES.keys() == set(TAUGHT)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_its_corpora_are_in_the_catalogue(recipe):
    assert CORPORA[recipe.corpus].licence == recipe.licence
    assert CORPORA[recipe.corpus].files.keys() == {"train", "dev", "test"}
    assert recipe.language in CORPORA[recipe.teaching.text].files


def test_it_learns_from_a_part_of_dev_and_not_from_test_nor_xpos(monkeypatch):
    parts = {"train": [*range(6), 9], "dev": [10, 6, 7, 8, 9], "test": [10, 11]}
    texts = {split: conllu(map(sentence, rows)).replace("NOUN\t_", "NOUN\tNN") for split, rows in parts.items()}
    monkeypatch.setattr(corpora, "read", lambda corpus, split: texts[split])
    monkeypatch.setattr(corpora, "sources", lambda corpus: (SOURCE,))
    task = replace(RECIPES["tagger-nl"], of_dev=2, teacher=None).task()
    splits = {"train": [*range(6), 6, 7], "dev": [8, 9], "test": [10, 11]}
    for split, rows in splits.items():
        assert [example.source for example in task.examples(split)] == [sentence(i).forms for i in rows]
    assert task.labels["xpos"] == ("_",)
