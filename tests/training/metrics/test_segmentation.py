"""Scores from raw text: tokens, sentences and tags."""

from collections.abc import Sequence
from typing import Any

import pytest

from service.text.languages import named_tokenizer
from service.text.tokens import SentenceSpan, TokenSpan
from training.data import treebank
from training.metrics.raw_text import Tags, evaluate, tag_scores
from training.metrics.segmentation import Scores, score

CONLLU = """# newdoc id = one
# sent_id = 1
# text = Don't go.
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tDo\tdo\tAUX\tVB\t_\t3\taux\t3:aux\t_
2\tn't\tnot\tPART\tRB\t_\t3\tadvmod\t3:advmod\t_
3\tgo\tgo\tVERB\tVB\tStyle=Old|VerbForm=Inf\t0\troot\t0:root\tSpaceAfter=No
3.1\tnow\tnow\tADV\tRB\t_\t_\t_\t3:advmod\tCopyOf=3
4\t.\t.\tPUNCT\t.\t_\t3\tpunct\t3:punct\t_

# sent_id = 2
# text = Stay
1\tStay\tstay\tVERB\tVB\t_\t0\troot\t0:root\tSpaceAfter=No

# sent_id = 3
# text = !
1\t!\t!\tPUNCT\t.\t_\t0\troot\t0:root\t_

# newpar id = one-p2
# sent_id = 4
# text = Yes
1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t0:root\t_

"""


def near(value: float) -> Any:
    return pytest.approx(value)


def test_puts_the_raw_text_together():
    text, sentences = treebank.raw_text(treebank.read(CONLLU))
    assert text == "Don't go. Stay!\n\nYes"
    assert [text[s.start : s.end] for s in sentences] == ["Don't go.", "Stay", "!", "Yes"]
    assert sentences[0].tokens == (
        TokenSpan("Do", 0, 2),
        TokenSpan("n't", 2, 5, continues=True),
        TokenSpan("go", 6, 8),
        TokenSpan(".", 8, 9),
    )


def test_scores():
    _, gold = treebank.raw_text(treebank.read(CONLLU))
    assert score(gold, gold) == Scores(tokens=100, sentences=100, words=100)

    # "Don't" in one piece; "Stay!" as one sentence.
    tokens = ("Don't", 0, 5), ("go", 6, 8), (".", 8, 9), ("Stay", 10, 14), ("!", 14, 15), ("Yes", 17, 20)
    words = [TokenSpan(*token) for token in tokens]
    system = [
        SentenceSpan(0, 9, tuple(words[:3])),
        SentenceSpan(10, 15, tuple(words[3:5])),
        SentenceSpan(17, 20, (words[5],)),
    ]
    assert score(gold, system) == Scores(
        tokens=100, sentences=near(100 * 2 * 2 / (4 + 3)), words=near(100 * 2 * 5 / (7 + 6))
    )


FRENCH = """# sent_id = 1
1-2\tDu\t_\t_\t_\t_\t_\t_\t_\t_
1\tDe\tde\tADP\t_\t_\t3\tcase\t_\t_
2\tle\tle\tDET\t_\t_\t3\tdet\t_\t_
3\tpain\tpain\tNOUN\t_\t_\t0\troot\t_\t_

"""


def test_words_that_are_not_parts_of_the_text_are_right_by_their_form():
    text, gold = treebank.raw_text(treebank.read(FRENCH))
    assert text == "Du pain"
    assert gold[0].tokens == (TokenSpan("De", 0, 2), TokenSpan("le", 0, 2, continues=True), TokenSpan("pain", 3, 7))
    whole = [SentenceSpan(0, 7, (TokenSpan("Du", 0, 2), TokenSpan("pain", 3, 7)))]
    assert score(gold, whole) == Scores(tokens=100, sentences=100, words=near(100 * 2 * 1 / (3 + 2)))


TREES = list(treebank.read(CONLLU))
RIGHT = {word.form: Tags(word.upos, word.xpos, word.feats, word.lemma) for tree in TREES for word in tree.words}
RIGHT["go"] = RIGHT["go"]._replace(feats="VerbForm=Inf")  # Style is of this treebank alone, and does not count
SIX_OF_SEVEN = 85.71


def scores(tags: dict[str, Tags]) -> dict[str, float]:
    def tag(sentences: Sequence[Sequence[str]]) -> list[list[Tags]]:
        return [[tags[form] for form in forms] for forms in sentences]

    found = evaluate(TREES, named_tokenizer("spacy-en"), tag, "dev")
    return {metric.name.removesuffix(", raw text"): metric.value for metric in found}


def test_a_wrong_tag_counts_against_its_column_and_all():
    given = scores(RIGHT | {"go": RIGHT["go"]._replace(upos="NOUN")})
    assert given["UPOS"] == given["AllTags"] == SIX_OF_SEVEN
    assert given["XPOS"] == given["UFeats"] == given["Words"] == given["Lemmas"] == 100


def test_a_wrong_lemma_counts_where_there_is_one():
    assert scores(RIGHT | {"n't": RIGHT["n't"]._replace(lemma="n't")})["Lemmas"] == SIX_OF_SEVEN
    gold = {(0, 3, "the"): Tags("X", "GW", "_", "_"), (4, 8, "dogs"): Tags("NOUN", "NN", "_", "item")}
    system = {word: tags._replace(lemma="any") for word, tags in gold.items()}
    assert tag_scores(gold, system)["Lemmas"] == 50, "where the treebank has none, any is right"
