"""Trees of the Stanford Sentiment Treebank."""

from training.data import sst

TREE = "(3 (2 It) (4 (2 's) (4 (4 well-made) (2 -RRB-))))"


def tokenize(word: str) -> tuple[str, ...]:
    return tuple(word.replace("-", " - ").split())


def test_yields_every_phrase_and_the_sentence_last() -> None:
    ((*phrases, sentence),) = sst.read(TREE + "\n", tokenize)
    well_made = ("well", "-", "made")
    assert sentence == sst.Phrase(("It", "'s", *well_made, ")"), 3)
    assert phrases == [
        sst.Phrase(("It",), 2),
        sst.Phrase(("'s",), 2, start=1),
        sst.Phrase(well_made, 4, start=2),
        sst.Phrase((")",), 2, start=5),
        sst.Phrase((*well_made, ")"), 4, start=2),
        sst.Phrase(("'s", *well_made, ")"), 4, start=1),
    ]


def test_undoes_the_escapes_of_the_treebank() -> None:
    ((*_, sentence),) = sst.read(r"(2 (2 (2 ``) (2 8\/10)) (2 ''))", lambda word: (word,))
    assert sentence.tokens == ('"', "8/10", '"')


def test_a_number_may_be_a_word() -> None:
    ((two, *_),) = sst.read("(1 (2 3) (1 (2 stars)))", lambda word: (word,))
    assert two == sst.Phrase(("3",), 2)
