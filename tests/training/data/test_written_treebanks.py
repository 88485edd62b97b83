"""The sentences with tags that were written for this project, and that taggers learn from or are measured on."""

import pytest

from training.data import corpora, treebank
from training.data.catalogue import CORPORA

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
