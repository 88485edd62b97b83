"""Verbs, adverbs and pronouns of the Danish train part are corrected as dev and test have them."""

import pytest

from training.data.danish import corrected
from training.data.treebank import Tree, Word

FINITE, INFINITIVE = "Mood=Ind|Tense=Pres|VerbForm=Fin|Voice=Act", "VerbForm=Inf|Voice=Act"
PAST, PRESENT = "Definite=Ind|Number=Sing|Tense=Past|VerbForm=Part", "Tense=Pres|VerbForm=Part"
WORDS = {
    word.form: word
    for word in (
        Word("der", "PRON", "_", "_", "der"),
        Word("han", "PRON", "_", "Case=Nom|Gender=Com|Number=Sing|Person=3|PronType=Prs", "han"),
        Word("jeg", "PRON", "_", "Case=Nom|Gender=Com|Number=Sing|Person=1|PronType=Prs", "jeg"),
        Word("I", "PRON", "_", "Case=Nom|Gender=Com|Number=Plur|PronType=Prs", "I"),
        Word("jer", "PRON", "_", "Gender=Com|Number=Plur|PronType=Prs", "I"),
        Word("er", "AUX", "_", FINITE, "være"),
        Word("ER", "VERB", "_", FINITE, "være"),  # stands for "er" with the other tag
        Word("vil", "AUX", "_", FINITE, "ville"),
        Word("VIL", "VERB", "_", FINITE, "ville"),
        Word("gå", "VERB", "_", INFINITIVE, "gå"),
        Word("solgt", "VERB", "_", PAST, "sælge"),
        Word("siddende", "VERB", "_", PRESENT, "sidde"),
        Word("ikke", "ADV", "_", "_", "ikke"),
        Word("langsomt", "ADV", "_", "_", "langsomt"),
        Word("langsom", "ADJ", "_", "Degree=Pos", "langsom"),
        Word("i", "ADP", "_", "_", "i"),
        Word("dag", "NOUN", "_", "Definite=Ind|Gender=Com|Number=Sing", "dag"),
        Word("byen", "NOUN", "_", "Definite=Def|Gender=Com|Number=Sing", "by"),
        Word("syg", "ADJ", "_", "Degree=Pos", "syg"),
        Word("at", "SCONJ", "_", "_", "at"),
        Word(",", "PUNCT", "_", "_", ","),
        Word("4b", "PUNCT", "_", "_", "4b"),
    )
}


def tagged(text: str) -> list[Word]:
    """Returns the corrected words of a sentence, before one that has "langsom" as an adjective."""
    trees = [Tree(tuple(WORDS[form] for form in text.split())) for text in (text, "langsom")]
    return list(corrected(trees)[0].words)


@pytest.mark.parametrize(
    ("text", "upos"),
    [
        ("der er byen", "VERB"),
        ("der er ikke dag", "VERB"),
        ("i dag er der dag", "VERB"),
        ("der ER solgt byen", "AUX"),
        ("han ER syg", "AUX"),
        ("han ER ikke syg", "AUX"),
        ("ikke ER byen syg", "VERB"),  # as it is: what stands behind may be the subject
        ("han ER solgt", "AUX"),
        ("han er i byen", "VERB"),
        ("han er i dag syg", "AUX"),
        ("han er ikke i byen", "AUX"),  # as it is
        ("han er siddende", "VERB"),
        ("han er", "AUX"),
        ("han VIL gå", "AUX"),
        ("han VIL , at han gå", "VERB"),
        ("jeg vil ikke", "VERB"),
        ("der vil gå", "AUX"),
    ],
)
def test_verbs_are_what_dev_has_in_such_a_clause(text, upos):
    (found,) = (word.upos for word in tagged(text) if word.lemma in ("være", "ville"))
    assert found == upos


def test_adverbs_have_a_degree_pronouns_a_person_and_codes_are_no_punctuation():
    adverb, other, first, second, comma, code = tagged("langsomt ikke I jer , 4b")
    assert (adverb.feats, other.feats) == ("Degree=Pos", "_")
    assert first.feats == "Case=Nom|Gender=Com|Number=Plur|Person=2|PronType=Prs"
    assert second.feats == "Case=Acc|Gender=Com|Number=Plur|Person=2|PronType=Prs"
    assert (comma.upos, code.upos) == ("PUNCT", "X")
