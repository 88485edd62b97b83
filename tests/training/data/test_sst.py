"""Trees of the Stanford Sentiment Treebank, and new sentences from their phrases."""

import pytest

from training.data import sst
from training.data.recombination import LONGEST, recombined

TREE = "(3 (2 It) (4 (2 's) (4 (4 well-made) (2 -RRB-))))"


def tokenize(word: str) -> tuple[str, ...]:
    return tuple(word.replace("-", " - ").split())


def test_yields_every_phrase_and_the_sentence_last():
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


def test_undoes_the_escapes_of_the_treebank():
    ((*_, sentence),) = sst.read(r"(2 (2 (2 ``) (2 8\/10)) (2 ''))", lambda word: (word,))
    assert sentence.tokens == ('"', "8/10", '"')


def test_a_number_may_be_a_word():
    ((two, *_),) = sst.read("(1 (2 3) (1 (2 stars)))", lambda word: (word,))
    assert two == sst.Phrase(("3",), 2)


CHARMING = "(3 (2 A) (3 (4 charming) (2 film)))"
DULL = "(0 (2 a) (0 (0 (0 dull) (0 (2 and) (0 endless))) (2 film)))"
OTHERS = "(2 (2 Nothing) (2 alike))"
LONG = f"(2 (2 a) (2 {''.join(f'(2 (2 word{i}) ' for i in range(LONGEST))}(2 long){')' * LONGEST} (2 film)))"


def trees(*lines: str) -> list[list[sst.Phrase]]:
    return list(sst.read("\n".join(lines), lambda word: (word,)))


def test_phrases_between_the_same_words_replace_each_other():
    made = recombined(trees(CHARMING, DULL), 1000, seed=1)
    assert set(made) == {("A", "dull", "and", "endless", "film"), ("a", "charming", "film")}


@pytest.mark.parametrize("given", [(CHARMING,), (CHARMING, OTHERS), (CHARMING, LONG)])
def test_phrases_without_a_place_elsewhere_and_long_ones_stay(given):
    assert recombined(trees(*given), 1000, seed=1) == []


def test_ends_at_the_number_of_tokens_and_repeats_itself_by_seed():
    words, nouns = "fine dull sweet poor great weak".split(), "film story cast plot idea song".split()
    pairs = zip(words, nouns, strict=True)
    given = trees(*(f"(2 (2 the) (2 (2 (2 {word}) (2 {noun})) (2 (2 is) (2 {word}))))" for word, noun in pairs))
    made = recombined(given, 40, seed=3)
    assert 40 <= sum(map(len, made)) < 40 + max(map(len, made))
    assert made == recombined(given, 40, seed=3) != recombined(given, 40, seed=4)
