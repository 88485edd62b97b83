"""End-to-end scores from raw text, on a treebank of two sentences whose scores can be counted."""

from collections.abc import Sequence

from service.text.languages import named_tokenizer
from training.data import treebank
from training.metrics.raw_text import Tags, evaluate, tag_scores

TREEBANK = """# newdoc
1\tThe\tthe\tDET\tDT\tDefinite=Def|Style=Old\t2\tdet\t_\t_
2\tdogs\tdog\tNOUN\tNNS\tNumber=Plur\t3\tnsubj\t_\t_
3\tbark\tbark\tVERB\tVBP\tTense=Pres\t0\troot\t_\tSpaceAfter=No
4\t.\t.\tPUNCT\t.\t_\t3\tpunct\t_\t_

1\tCats\tcat\tNOUN\tNNS\tNumber=Plur\t2\tnsubj\t_\t_
2-3\tdon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_
"""
TREES = list(treebank.read(TREEBANK))
TOKENIZER = named_tokenizer("spacy-en")
RIGHT = {
    "The": Tags("DET", "DT", "Definite=Def"),  # Style is of this treebank alone, and does not count
    "dogs": Tags("NOUN", "NNS", "Number=Plur"),
    "bark": Tags("VERB", "VBP", "Tense=Pres"),
    "Cats": Tags("NOUN", "NNS", "Number=Plur"),
    "do": Tags("AUX", "VBP", "_"),
    "n't": Tags("PART", "RB", "_"),
    ".": Tags("PUNCT", ".", "_"),
}


def scores(tags: dict[str, Tags]) -> dict[str, float]:
    def tag(sentences: Sequence[Sequence[str]]) -> list[list[Tags]]:
        return [[tags[form] for form in forms] for forms in sentences]

    return {metric.name.removesuffix(", raw text"): metric.value for metric in evaluate(TREES, TOKENIZER, tag, "dev")}


def test_all_is_right_where_cuts_and_tags_are() -> None:
    assert scores(RIGHT) == dict.fromkeys(("Tokens", "Sentences", "Words", "UPOS", "XPOS", "UFeats", "AllTags"), 100)


def test_a_wrong_tag_counts_against_its_column_and_all() -> None:
    given = scores(RIGHT | {"bark": Tags("NOUN", "VBP", "Tense=Pres")})
    assert given["UPOS"] == given["AllTags"] == 87.5
    assert given["XPOS"] == given["UFeats"] == given["Words"] == 100


def test_the_order_of_features_does_not_matter_and_words_cut_otherwise_are_wrong() -> None:
    noun = Tags("NOUN", "NN", "_")
    gold = {(0, 3, "the"): Tags("DET", "DT", "Number=Sing|Case=Nom"), (4, 8, "dogs"): noun}
    system = {(0, 3, "the"): Tags("DET", "DT", "Case=Nom|Number=Sing"), (4, 7, "dog"): noun, (7, 8, "s"): noun}
    assert tag_scores(gold, system) == dict.fromkeys(("UPOS", "XPOS", "UFeats", "AllTags"), 100 * 2 * 1 / 5)


def test_lemmas_count_where_there_are_any() -> None:
    lemmas = {"The": "the", "dogs": "dog", "bark": "bark", "Cats": "cat", "do": "do", "n't": "not", ".": "."}
    with_lemmas = {form: tags._replace(lemma=lemmas[form]) for form, tags in RIGHT.items()}
    assert scores(with_lemmas)["Lemmas"] == 100
    assert scores(with_lemmas | {"n't": RIGHT["n't"]._replace(lemma="n't")})["Lemmas"] == 87.5
    gold = {(0, 3, "the"): Tags("X", "GW", "_", "_"), (4, 8, "dogs"): Tags("NOUN", "NN", "_", "item")}
    system = {word: tags._replace(lemma="any") for word, tags in gold.items()}
    assert tag_scores(gold, system)["Lemmas"] == 50, "where the treebank has none, any is right"
