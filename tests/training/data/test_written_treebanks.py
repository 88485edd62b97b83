"""The sentences with tags that were written for this project, and that taggers learn from or are measured on."""

import pytest

from training.data import corpora, treebank
from training.data.catalogue import CORPORA

WRITTEN = {name: list(corpus.files) for name, corpus in CORPORA.items() if name.startswith("written_")}
UPOS = set("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())


def text_of(tree: treebank.Tree) -> str:
    return "".join(token.form + " " * token.space_after for token in tree.tokens).strip()


@pytest.mark.parametrize(("name", "parts"), WRITTEN.items())
def test_sentences_have_tags_are_those_of_their_text_and_none_is_there_twice(name, parts):
    forms = []
    for part in parts:
        content = corpora.read(name, part)
        found = list(treebank.read(content, f"{name}/{part}"))
        texts = [line for line in content.splitlines() if line.startswith("# text = ")]
        assert [f"# text = {text_of(tree)}" for tree in found] == texts
        assert all(word.upos in UPOS and word.lemma for tree in found for word in tree.words)
        forms += [tree.forms for tree in found]
    assert len(set(forms)) == len(forms), "what is measured is not learned, either"
    assert parts[-1] == "test"
