"""Corrects adjectives, participles and dashes of the Swedish train split, which is made of an older annotation.

Dev and test give a participle its own basic form as the lemma, "ändrad", where train has the verb, "ändra", in two of
five; and a compound or a negation that is no form of a verb, "barncentrerad", "obetald", is an adjective without
VerbForm and Tense there. Adjectives that are the same with nouns of both genders, "intressant", have no gender, in
train most often one. A dash from one number, name or time to another, "8 - 21", "maj - juni", is a symbol, in train
most often punctuation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from training.data.treebank import Tree, Word, attributes, with_attributes

PREFIXES = set(  # of verbs, and "nu" of "nuvarande"
    "an av be bort de efter emot er fram från för genom hop i igen ihop in inne isär kvar lös med mot ned ner nu om på "
    "re runt sam samman till tillbaka undan under upp ut vid å åter över".split()
)
ADJECTIVE = "ADJ"
DASHES, SYMBOL = ("-", "–"), "SYM"
BESIDE_SYMBOL = "NUM", "PROPN"  # a dash between two words of one of these is a symbol
TIMES = set(  # and one between two of these nouns
    "januari februari mars april maj juni juli augusti september oktober november december "
    "måndag tisdag onsdag torsdag fredag lördag söndag".split()
)
_BASIC = re.compile("(d|t|en|nde)$")  # the end of a participle's basic form
_ENDINGS = {  # of other forms, longer endings before shorter ones that they end with
    ending: basic
    for ending, _, basic in (pair.partition(":") for pair in "nna:nnen na:en et:en ade:ad at:ad da:d ta:t".split())
}
_UNVOICED = "fkpstx"  # before the t of a participle that keeps it, "köpt"
_SHORTEST = 5  # letters of the participle in a compound


def corrected(trees: Sequence[Tree], lemmas: Mapping[str, str]) -> list[Tree]:
    """Returns sentences whose adjectives, participles and dashes are as in dev and test.

    Args:
        lemmas: of forms in lower case, among them the infinitives of verbs and most of their participles.
    """
    return [
        replace(tree, words=tuple(_corrected(_dash(tree.words, i), lemmas) for i in range(len(tree.words))))
        for tree in trees
    ]


def _dash(words: Sequence[Word], i: int) -> Word:
    """Returns a word; a dash from one number, name or time to another as a symbol."""
    word = words[i]
    if word.form not in DASHES or not 0 < i < len(words) - 1:
        return word
    before, after = words[i - 1], words[i + 1]
    alike = before.upos == after.upos in BESIDE_SYMBOL
    return word._replace(upos=SYMBOL) if alike or TIMES.issuperset((before.lemma, after.lemma)) else word


def _corrected(word: Word, lemmas: Mapping[str, str]) -> Word:
    word = _participle(word, lemmas)
    if word.upos == ADJECTIVE and word.form.endswith("t") and word.form.lower() == word.lemma.lower():
        return with_attributes(word, {name: value for name, value in attributes(word).items() if name != "Gender"})
    return word


def _participle(word: Word, lemmas: Mapping[str, str]) -> Word:
    own = attributes(word)
    if own.get("VerbForm") != "Part":
        return word
    form = word.form.lower()
    if own.get("Case") == "Gen":
        form = form.removesuffix("s")
    if not _BASIC.search(word.lemma):
        word = word._replace(lemma=_basic_form(form, word.lemma))
    if word.upos != ADJECTIVE or not _is_compound(_basic_form(form), lemmas):
        return word
    return with_attributes(word, {name: own[name] for name in own.keys() - {"VerbForm", "Tense"}})


def _basic_form(form: str, verb: str = "") -> str:
    """Returns the participle as it stands with a singular noun of common gender. verb: that it is of, if known."""
    for ending, basic in _ENDINGS.items():
        if form.endswith(ending):
            return form.removesuffix(ending) + basic
    if form.endswith("tt") and verb and not verb.endswith("ta"):
        return form.removesuffix("tt") + "dd"  # "sett" of "se"
    if form.endswith("t") and form[-2] not in _UNVOICED and not verb.endswith("ta"):
        return form.removesuffix("t") + "d"
    return form


def _is_compound(participle: str, lemmas: Mapping[str, str]) -> bool:
    """Whether a participle is not of a verb, but of something else and a participle, the longest that there is."""
    parts = ((participle[:i], participle[i:]) for i in range(len(participle) - _SHORTEST + 1))
    before = next((before for before, after in parts if _is_of_verb(after, lemmas)), "")
    return bool(before) and before not in PREFIXES


def _is_of_verb(participle: str, lemmas: Mapping[str, str]) -> bool:
    infinitive = re.sub("(ad|ande)$", "a", participle)
    return infinitive in lemmas or not _BASIC.search(lemmas.get(participle, participle))
