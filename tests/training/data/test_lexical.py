"""Features that a word has wherever it stands are corrected in a mapped train split by the treebank's own sentences."""

from training.data.lexical import LEAST, corrected
from training.data.treebank import Tree, Word


def word(form: str, upos: str, feats: str, lemma: str = "") -> Word:
    return Word(form, upos, "_", feats, lemma or form.lower())


def one(found: Word, *native: Word) -> str:
    (tree,) = corrected([Tree((found,))], [Tree((each,)) for each in native])
    return tree.words[0].feats


ORDINAL = word("últimas", "ADJ", "Gender=Fem|Number=Plur|NumType=Ord", "último")


def test_a_form_gets_what_all_its_occurrences_in_the_treebank_have_and_keeps_the_rest():
    assert one(word("Últimas", "ADJ", "Gender=Fem", "último"), *[ORDINAL] * LEAST) == "Gender=Fem|NumType=Ord"
    assert one(word("dos", "NUM", "NumForm=Digit|NumType=Card"), *[word("dos", "NUM", "NumType=Card")] * LEAST) == (
        "NumType=Card"
    )


def test_a_rare_form_gets_what_all_forms_of_its_lemma_have_except_a_degree():
    better = word("mejores", "ADJ", "Degree=Cmp|Number=Plur", "bueno")
    assert one(word("último", "ADJ", "Gender=Masc", "último"), *[ORDINAL] * LEAST) == "Gender=Masc|NumType=Ord"
    assert one(word("bueno", "ADJ", "Number=Sing", "bueno"), *[better] * LEAST) == "Number=Sing"


def test_numbers_of_as_many_digits_are_one_form():
    years = [word(year, "NOUN", "AdvType=Tim") for year in ("1991", "1998", "2001")]
    assert one(word("2002", "NOUN", "_"), *years) == "AdvType=Tim"
    assert one(word("98", "NOUN", "_"), *years) == "_"


def test_what_is_rare_or_varies_in_the_treebank_or_has_another_part_of_speech_changes_nothing():
    plain = word("últimas", "ADJ", "Gender=Fem", "último")
    assert one(plain, *[ORDINAL] * (LEAST - 1)) == plain.feats
    assert one(plain, *[ORDINAL] * LEAST, word("último", "ADJ", "Gender=Masc"), plain) == plain.feats
    assert one(plain._replace(upos="NOUN"), *[ORDINAL] * LEAST) == plain.feats


def test_features_that_depend_on_the_sentence_stay():
    dative, accusative = (word("le", "PRON", f"Case={case}|PronType=Prs") for case in ("Dat", "Acc"))
    assert one(accusative, *[dative] * LEAST) == accusative.feats
