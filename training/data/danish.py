"""Corrects verbs, adverbs and pronouns of the Danish train part, which is made of another annotation.

In dev and test, "være" is a verb where something is there ("der er en bil") or where it is ("han er i byen"), and an
auxiliary before what the subject is; in train, a third of the first are auxiliaries, and some of the others verbs.
A modal verb is an auxiliary if it has an infinitive. Adverbs that are the neuter of an adjective ("langsomt") have a
degree. "I" and "jer" have a person. Codes of letters and digits are X, in train punctuation.
"""

from collections.abc import Sequence, Set
from dataclasses import replace

from training.data.treebank import NOTHING, Tree, Word, attributes, with_attributes

ADJECTIVE, ADVERB, AUXILIARY, VERB, PRONOUN, ADPOSITION = "ADJ", "ADV", "AUX", "VERB", "PRON", "ADP"
BE = "være"
MODALS = {"burde", "kunne", "måtte", "skulle", "turde", "ville"}
THERE = "der"
PREDICATES = {ADJECTIVE, "NOUN", "PROPN"}
SUBJECTS = {"NOUN", PRONOUN, "PROPN"}
CLAUSE_ENDS = {"CCONJ", "PUNCT", "SCONJ"}
NOT_PLACES = {  # phrases that say no place: how or when something is, or an adjective in two words
    "for": "den det dem eksempel ham længst mig os sent tiden øjeblikket",
    "i": "aftes alt begyndelsen dag de det fjor gang går hvert live morgen nat praksis princippet stand stedet "
    "øjeblikket øvrigt",
    "med": "hensyn til",
    "på": "tide",
    "til": "at disposition",
    "under": "opbygning",
}
NO_PREPOSITIONS = {"som", "end", "trods", "ifølge", "blandt"}
ADVERBS = set("alt blot først fuldt just knapt netop ondt rundt sidst slet vidt vist øvrigt".split())  # of no adjective
PERSONS = {"i": "Nom", "jer": "Acc"}


def corrected(trees: Sequence[Tree]) -> list[Tree]:
    """Returns sentences whose verbs, adverbs and pronouns are as in dev and test."""
    adjectives = {word.lemma for tree in trees for word in tree.words if word.upos == ADJECTIVE}
    return [
        replace(tree, words=tuple(_corrected(tree.words, i, adjectives) for i in range(len(tree.words))))
        for tree in trees
    ]


def _corrected(words: Sequence[Word], i: int, adjectives: Set[str]) -> Word:
    word, form = words[i], words[i].form.lower()
    if word.upos in (AUXILIARY, VERB):
        return word._replace(upos=_verb(words, i))
    if word.upos == "PUNCT" and any(map(str.isalnum, word.form)):
        return word._replace(upos="X", feats=NOTHING)
    if word.upos == ADVERB and word.feats == NOTHING and form.endswith("t") and form not in ADVERBS:
        return with_attributes(word, {"Degree": "Pos"}) if {form, form[:-1]} & adjectives else word
    if word.upos == PRONOUN and (word.form == "I" or form == "jer"):
        case = PERSONS[form]
        return word._replace(feats=f"Case={case}|Gender=Com|Number=Plur|Person=2|PronType=Prs")
    return word


def _verb(words: Sequence[Word], i: int) -> str:
    """Returns whether a verb is VERB or AUX."""
    word = words[i]
    if word.lemma == BE:
        return _being(words, i) or word.upos
    if word.lemma in MODALS:
        if word.upos == VERB and any(map(_is_infinitive, _clause(words, i + 1))):
            return AUXILIARY
        if word.upos == AUXILIARY and not any(map(_is_infinitive, words)):
            return VERB
    return word.upos


def _being(words: Sequence[Word], i: int) -> str | None:
    """Returns what "være" is, None where its neighbours do not say."""
    clause = _clause(words, i + 1)
    past = any(_is_participle(word, "Past") for word in clause)
    if _is_there(words, i):
        return AUXILIARY if past else VERB
    adverbs = next((k for k, word in enumerate(clause) if word.upos != ADVERB), len(clause))
    following = clause[adverbs:]
    if not following:
        return None
    first, second = following[0], following[1].form.lower() if len(following) > 1 else ""
    if _is_participle(first, "Pres"):
        return VERB if first.upos == VERB and not {word.upos for word in following[1:2]} & SUBJECTS else None
    if first.upos == ADPOSITION:
        place = not adverbs and not past and first.form.lower() not in NO_PREPOSITIONS
        other = second in NOT_PLACES.get(first.form.lower(), "").split() or second.isdigit()
        return VERB if place and not other else None
    behind_subject = i > 0 and (words[i - 1].upos in SUBJECTS or not _is_finite(words[i]))
    return AUXILIARY if behind_subject and (first.upos in PREDICATES or _is_participle(first, "Past")) else None


def _is_there(words: Sequence[Word], i: int) -> bool:
    """Returns whether something is there: "der er", "der har altid været", "er der"."""
    before = next((word for word in reversed(words[:i]) if word.upos not in (ADVERB, AUXILIARY, "PART")), None)
    after = next((word for word in words[i + 1 : i + 3] if word.upos != ADVERB), None)
    return any(
        word is not None and word.form.lower() == THERE and word.upos == PRONOUN and word.feats == NOTHING
        for word in (before, after)
    )


def _clause(words: Sequence[Word], start: int) -> Sequence[Word]:
    """Returns the words up to the end of a clause or the next finite verb."""
    ends = (k for k in range(start, len(words)) if words[k].upos in CLAUSE_ENDS or _is_finite(words[k]))
    return words[start : next(ends, len(words))]


def _is_finite(word: Word) -> bool:
    return attributes(word).get("VerbForm") == "Fin"


def _is_infinitive(word: Word) -> bool:
    return attributes(word).get("VerbForm") == "Inf"


def _is_participle(word: Word, tense: str) -> bool:
    own = attributes(word)
    return own.get("VerbForm") == "Part" and own.get("Tense") == tense and word.upos in (AUXILIARY, VERB)
