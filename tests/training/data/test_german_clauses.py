"""German words of the train part are corrected by their forms, neighbours and clauses."""

import pytest

from training.data.german_clauses import corrected
from training.data.treebank import Tree, Word, attributes

FINITE = "Mood=Ind|Number={}|Person=3|Tense={}|VerbForm=Fin"
PRESENT, PAST = FINITE.format("Sing", "Pres"), FINITE.format("Plur", "Past")
NOUN = "Case=Nom|Gender={}|Number={}"
WORDS = {
    "sie": ("PRON", "Case=Nom|Number=Plur|Person=3|PronType=Prs", "sie"),
    "die": ("PRON", "Case=Nom|Number=Sing|PronType=Dem,Rel", "der"),
    "deren": ("DET", "Case=Nom|Definite=Def|Number=Plur|PronType=Art", "der"),
    "sich": ("PRON", "Case=Nom|Person=3|PronType=Prs|Reflex=Yes", "sich"),
    "ging": ("VERB", PAST, "gehen"),
    "gehen": ("VERB", PRESENT, "gehen"),
    "gehe": ("VERB", PRESENT, "gehen"),
    "ich": ("PRON", "Case=Nom|Number=Sing|Person=1|PronType=Prs", "ich"),
    "soll": ("AUX", PRESENT, "sollen"),
    "hat": ("VERB", PRESENT, "haben"),
    "hatte": ("AUX", PRESENT, "haben"),
    "wurde": ("VERB", PRESENT + "|Voice=Pass", "werden"),
    "gesehen": ("VERB", "VerbForm=Part", "sehen"),
    "darauf": ("ADV", "_", "darauf"),
    "Aber": ("ADV", "_", "aber"),
    ",": ("PUNCT", "_", ","),
    "-": ("PUNCT", "_", "-"),
    "Leute": ("NOUN", NOUN.format("Fem", "Sing"), "Leute"),
    "Angestellten": ("NOUN", NOUN.format("Masc", "Plur"), "Angestellte"),
    "Haus": ("NOUN", NOUN.format("Neut", "Sing"), "Haus"),
    "Tür": ("NOUN", NOUN.format("Fem", "Sing"), "Tür"),
    "Häuser": ("NOUN", NOUN.format("Neut", "Plur"), "Häuser|Haus"),
    "Ruine": ("NOUN", NOUN.format("Fem", "Sing"), "Ruin|Ruine"),
    "leitet": ("VERB", PRESENT, "geleiten|leiten"),
    "leitete": ("VERB", PRESENT, "leiten"),
    "angestellt": ("ADJ", "Degree=Pos", "angestellt"),
    "kleine": ("ADJ", "Case=Nom|Degree=Pos|Gender=Masc|Number=Sing", "kleine"),
    "alte": ("ADJ", "Degree=Pos", "alt"),
    "Bonner": ("ADJ", "Case=Dat|Degree=Pos|Gender=Neut|Number=Sing", "Bonner"),
}


def tagged(text: str) -> list[Word]:
    """Returns the corrected words of a sentence; others have the lemmas "angestellt" and "leiten"."""
    sentences = (text, "angestellt leitete")
    words = (
        [Word(form, *row[:1], "_", *row[1:]) for form in sentence.split() if (row := WORDS[form])]
        for sentence in sentences
    )
    return list(corrected([Tree(tuple(some)) for some in words])[0].words)


def features(text: str, i: int, *names: str) -> list[str | None]:
    """Returns features of the i-th word of a corrected sentence."""
    return [attributes(tagged(text)[i]).get(name) for name in names]


@pytest.mark.parametrize(
    ("text", "i", "upos"),
    [
        ("sie hat gesehen", 1, "AUX"),
        ("sie hat , sie gesehen", 1, "VERB"),
        ("sie hatte Haus", 1, "VERB"),
        ("sie hatte Haus , gesehen", 1, "AUX"),  # as it is: its participle may be there
        ("sie wurde gesehen", 1, "AUX"),
        ("sie wurde angestellt", 1, "VERB"),
        ("deren Haus", 0, "PRON"),
        ("Aber sie ging", 0, "CCONJ"),
        ("sie ging Aber", 2, "ADV"),
    ],
)
def test_parts_of_speech_are_those_of_the_clause(text, i, upos):
    assert tagged(text)[i].upos == upos


def test_verbs_have_the_number_the_mood_and_the_voice_of_their_form_and_clause():
    assert features("sie ging", 1, "Number") == ["Sing"]
    assert features("sie gehen", 1, "Number") == ["Plur"]
    assert features("sie soll gehen ,", 2, "VerbForm", "Mood") == ["Inf", None]
    assert features("sie gehe", 1, "Mood") == ["Sub"]
    assert features("ich gehe", 1, "Mood") == ["Ind"]
    assert features("sie wurde gesehen", 1, "Voice") == ["Pass"]
    assert features("sie wurde angestellt", 1, "Voice") == [None]


def test_pronouns_and_adverbs_have_the_features_of_their_form_and_verb():
    assert features("sie ging", 0, "Gender", "Number") == ["Fem", "Sing"]
    assert features("sie gehen", 0, "Gender", "Number") == [None, "Plur"]
    assert features("die", 0, "Gender") == ["Fem"]
    assert features("sich", 0, "Case") == ["Acc"]
    assert features("deren Haus", 0, "Case", "Number", "Definite") == ["Gen", "Plur", None]
    assert features("darauf", 0, "PronType") == ["Dem"]


def test_nouns_and_adjectives_agree():
    assert features("Leute", 0, "Gender", "Number") == [None, "Plur"]
    assert features("Angestellten", 0, "Gender") == [None]
    assert features("Haus - Tür", 0, "Gender") == ["Fem"]
    assert features("kleine Haus - Tür", 0, "Gender") == ["Fem"]
    assert features("alte Tür", 0, "Case", "Gender", "Number") == ["Nom", "Fem", "Sing"]
    assert features("alte , Tür", 0, "Case") == [None]
    assert features("Bonner Tür", 0, "Case", "Degree") == [None, "Pos"]


def test_a_lemma_is_one_word_without_an_ending():
    lemmas = {form: tagged(form)[0].lemma for form in ("kleine", "Häuser", "Ruine", "leitet", "Tür")}
    assert lemmas == {"kleine": "klein", "Häuser": "Haus", "Ruine": "Ruine", "leitet": "leiten", "Tür": "Tür"}
