"""The sentences with tags that were written for this project, and that taggers learn from or are measured on."""

from collections import Counter

import pytest

from training.data import corpora, treebank
from training.data.catalogue import CORPORA
from training.recipes._taught_taggers import RECIPES

WRITTEN = {name: list(corpus.files) for name, corpus in CORPORA.items() if name.startswith("written_")}
UPOS = set("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())


def trees(name: str, part: str) -> list[treebank.Tree]:
    return list(treebank.read(corpora.read(name, part), f"{name}/{part}"))


def text_of(tree: treebank.Tree) -> str:
    return "".join(token.form + " " * token.space_after for token in tree.tokens).strip()


@pytest.mark.parametrize("name", WRITTEN)
def test_sentences_have_tags_and_are_those_of_their_text(name):
    for part in WRITTEN[name]:
        texts = [line for line in corpora.read(name, part).splitlines() if line.startswith("# text = ")]
        found = trees(name, part)
        assert [f"# text = {text_of(tree)}" for tree in found] == texts
        assert all(word.upos in UPOS and word.lemma for tree in found for word in tree.words)


@pytest.mark.parametrize("name", WRITTEN)
def test_no_sentence_is_there_twice_and_none_that_is_measured_is_learned(name):
    found = [tree.forms for part in WRITTEN[name] for tree in trees(name, part)]
    assert len(set(found)) == len(found)
    assert WRITTEN[name][-1] == "test"


def test_a_recipe_reads_what_was_written_in_its_language_but_for_measuring(monkeypatch):
    recipe, read = RECIPES["tagger-da"], corpora.read
    other = "1\tHej\thej\tINTJ\t_\t_\t_\t_\t_\t_\n\n"
    monkeypatch.setattr(corpora, "read", lambda name, part: read(name, part) if name in WRITTEN else other)
    splits, sources = recipe.parts()
    counts = Counter(tree.forms for tree in splits["train"])
    for part, times in recipe.written.items():
        assert {counts[tree.forms] for tree in trees("written_da", part)} == {times}
    assert not any(counts[tree.forms] for tree in trees("written_da", "test"))
    found = [source.name.rpartition(": ")[2] for source in sources if "written for this project" in source.name]
    assert found == list(recipe.written)
    assert not any(trees for split, trees in recipe.parts(measured=True)[0].items() if split != "test")
