"""Corrects German verbs, pronouns, adjectives and nouns of the train part by their forms, neighbours and clauses.

What train is made of gives forms that are spelled alike one of their readings: "ist" is a plural in some sentences,
"sie" beside a singular verb has no gender. Dev and test follow the rules here in more than 97 of 100 words.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial

from training.data.genders import NOUN
from training.data.german import INFLECTED
from training.data.german_forms import PLURAL
from training.data.treebank import NOTHING, Tree, Word, attributes, with_attributes

ADJECTIVE, ADVERB, AUXILIARY, DETERMINER, PRONOUN, VERB = "ADJ", "ADV", "AUX", "DET", "PRON", "VERB"
BREAKS = {",", ";", ":", "--", ".", "(", ")"}
MODALS = {"dürfen", "können", "mögen", "müssen", "sollen", "werden", "wollen"}
SINGULAR_VERBS = {"bin", "darf", "gab", "hab", "kann", "muss", "muß", "soll", "war", "will"}
PLURAL_VERBS = {"sind", "waren", "wurden"}
DEMONSTRATIVE = set("dadurch daher dahinter darauf darin darum darunter davon davor".split())  # adverbs
CONJUNCTIONS = {"aber", "doch"}  # at the start of a clause
_PLURALS = re.compile("(kosten|leute|eltern)$")  # the lemma of a noun without a singular
_NOMINALIZED = re.compile("(angehörig|beamt|end|iert|los|lich|verantwortlich)$")  # the stem of an adjective as a noun
_NOT_NOMINALIZED = re.compile("(Ebene|Fehler|Gläubiger|Matte|Moderne|Runde|Spitze|ende)$")
_INFLECTED = re.compile("e[mnrs]?$")
_STEM = re.compile("(?<!e)e[mnrs]?$")
_BASIC = {"lange", "letzter", "super"}  # adjectives that are their own lemma
_IN_TOWNS = re.compile("[A-ZÄÖÜ].*er")  # "Bonner"
_NEAR = 6  # words

_Rule = Callable[[Sequence[Word], int], Word]


def corrected(trees: Sequence[Tree]) -> list[Tree]:
    """Returns sentences with other parts of speech, features and lemmas."""
    lemmas = Counter((word.upos, word.lemma) for tree in trees for word in tree.words)
    adjectives = {lemma for upos, lemma in lemmas if upos == ADJECTIVE}
    # Nouns come before what agrees with them, verbs before their pronouns.
    for rule in (partial(_noun, adjectives), _verb, partial(_neighbour, adjectives), partial(_lemma, lemmas)):
        trees = [_each(tree, rule) for tree in trees]
    return list(trees)


def _each(tree: Tree, rule: _Rule) -> Tree:
    return replace(tree, words=tuple(rule(tree.words, i) for i in range(len(tree.words))))


def _changed(word: Word, **features: str) -> Word:
    """Returns a word with other features; those with an empty value go."""
    found = attributes(word) | features
    return with_attributes(word, {name: value for name, value in found.items() if value})


def _noun(adjectives: Set[str], words: Sequence[Word], i: int) -> Word:
    word = words[i]
    if word.upos != NOUN or "Number" not in attributes(word):
        return word
    if _PLURALS.search(word.lemma.lower()):
        return _changed(word, Number=PLURAL, Gender="")
    if _is_nominalized(word, adjectives):
        if attributes(word)["Number"] == PLURAL:
            return _changed(word, Gender="")
        if word.form == f"{word.lemma}r" and attributes(word).get("Case") == "Nom":
            return _changed(word, Gender="Masc")
    if (head := _last_of_chain(words, i)) is not None:
        return _changed(word, **_agreeing(words[head]))
    return word


def _verb(words: Sequence[Word], i: int) -> Word:
    word, own = words[i], attributes(words[i])
    if word.upos not in (AUXILIARY, VERB):
        return word
    form, clause = word.form.lower(), _clause(words, i)
    modal = any(other.lemma in MODALS and _is(other, "Fin") for other in words[clause.start : i])
    if modal and word.upos == VERB and word.form == word.lemma and _is(word, "Fin") and _before_punctuation(words, i):
        return word._replace(feats="VerbForm=Inf")
    if not _is(word, "Fin"):
        return _changed(word, Voice="") if word.lemma == "werden" and word.upos == VERB else word
    others = [words[k] for k in clause if k != i]
    participle = any(other.upos == VERB and _is(other, "Part") for other in others)
    infinitive = any(_is(other, "Inf") for other in others)
    if word.lemma == "haben":
        if participle:
            word = word._replace(upos=AUXILIARY)
        elif not infinitive and not any(_is(other, "Part") for other in words):
            word = word._replace(upos=VERB)
    if word.lemma == "werden":
        if participle and not infinitive:
            word = _changed(word._replace(upos=AUXILIARY), Voice="Pass")
        elif word.upos == VERB or (infinitive and not any(_is(other, "Part") for other in words)):
            word = _changed(word, Voice="")
    if number := _number(form, word.lemma, own):
        word = _changed(word, Number=number)
    near = {other.form.lower() for other in words[max(0, i - _NEAR) : i + _NEAR + 1]}
    third = own.get("Tense") == "Pres" and own.get("Person") == "3" and "ich" not in near and word.form.islower()
    subjunctive = form in ("sei", "seien") or form == re.sub("e?n$", "e", word.lemma)
    return _changed(word, Mood="Sub") if third and subjunctive else word


def _number(form: str, lemma: str, own: Mapping[str, str]) -> str | None:
    """Returns the number of a finite verb by its form, None where that does not say it."""
    if "Number" not in own or own.get("Person") == "2" or not lemma.endswith("n") or not lemma.islower():
        return None
    past = own.get("Tense") == "Past"
    if form.endswith("schien"):
        return "Sing"
    if form in PLURAL_VERBS or (form.endswith("en") and past) or (form == lemma != "sein"):
        return PLURAL
    if form.endswith(("t", "e")) or form in SINGULAR_VERBS or (past and not form.endswith("en")):
        return "Sing"
    return None


def _neighbour(adjectives: Set[str], words: Sequence[Word], i: int) -> Word:
    word, form, own = words[i], words[i].form.lower(), attributes(words[i])
    if form in ("dessen", "deren") and word.upos in (DETERMINER, PRONOUN):
        number = PLURAL if form == "deren" else "Sing"
        return word._replace(upos=PRONOUN, feats=f"Case=Gen|Number={number}|PronType=Dem,Rel")
    if word.upos == PRONOUN:
        return _changed(word, **_of_pronoun(words, i, own))
    if word.upos == ADVERB:
        if form in CONJUNCTIONS and (i == 0 or words[i - 1].upos == "PUNCT"):
            return word._replace(upos="CCONJ", feats=NOTHING)
        return _changed(word, PronType="Dem") if form in DEMONSTRATIVE else word
    if word.upos == DETERMINER and form == "alle":
        word = _changed(word, Number=PLURAL)
    if word.upos not in (ADJECTIVE, DETERMINER):
        return word
    if word.upos == ADJECTIVE:
        if form in ("ganz", "lange") and "Case" not in own:
            return word._replace(upos=ADVERB, feats=NOTHING)
        if word.form == word.lemma and _IN_TOWNS.fullmatch(word.form):
            return word._replace(feats="Degree=Pos")
    if (noun := _noun_of(words, i)) is None:
        return word
    if (head := _last_of_chain(words, noun)) is not None and "Case" in own:
        own = own | _agreeing(words[head])
        article = word.upos == DETERMINER and word.lemma in ("d", "der") and own["Number"] == PLURAL
        return _changed(word, **{name: own[name] for name in INFLECTED} | ({"Gender": ""} if article else {}))
    attributive = word.upos == ADJECTIVE and words[i + 1].upos in (ADJECTIVE, NOUN) and own.get("Degree") != "Cmp"
    lacks = attributive and not own.keys() >= {*INFLECTED}
    if lacks and word.form.islower() and _INFLECTED.search(form) and not form.endswith("er") and form != word.lemma:
        word = _changed(word, **_agreeing(words[noun]))
    if own.get("Number") == PLURAL and (_PLURALS.search(words[noun].lemma) or _is_nominalized(words[noun], adjectives)):
        return _changed(word, Gender="")
    return word


def _of_pronoun(words: Sequence[Word], i: int, own: Mapping[str, str]) -> Mapping[str, str]:
    """Returns the features that a pronoun has by its form, its verb and its number."""
    form, case, number = words[i].form.lower(), own.get("Case"), own.get("Number")
    if form == "sie" and case == "Nom" and "Polite" not in own:
        verbs = [words[k] for k in (i - 1, i + 1) if 0 <= k < len(words) and _is(words[k], "Fin")]
        number = attributes(verbs[0]).get("Number", number) if verbs else number
        return {"Number": number, "Gender": "Fem" if number == "Sing" else ""} if number else {}
    if (form == "sie" and case == "Acc") or form == "die":
        return {"Gender": "Fem" if number == "Sing" else ""} if number else {}
    if form == "der" and number == "Sing":
        return {"Gender": "Masc" if case == "Nom" else "Fem"}
    if form == "den" and number == "Sing":
        return {"Case": "Acc", "Gender": "Masc"}
    if form == "ihr" and case == "Dat":
        return {"Gender": "Fem", "Number": "Sing", "Person": "3"}
    return {"Case": "Acc"} if form == "sich" and case in ("Nom", None) else {}


def _lemma(lemmas: Mapping[tuple[str, str], int], words: Sequence[Word], i: int) -> Word:
    """Returns a word with one lemma of several, the most frequent, and an adjective's without an ending."""
    word = words[i]
    if "|" in word.lemma:
        options = word.lemma.split("|")
        if word.upos == NOUN:  # the form is the lemma of a singular alone
            plural = attributes(word).get("Number") == PLURAL
            options = [lemma for lemma in options if (lemma != word.form) == plural] or options
        return word._replace(lemma=max(options, key=lambda lemma: lemmas.get((word.upos, lemma), 0)))
    inflected = word.upos == ADJECTIVE and "Case" in attributes(word) and _STEM.search(word.form)
    if inflected and word.form == word.lemma and word.form.islower() and word.form not in _BASIC:
        return word._replace(lemma=re.sub("bl$", "bel", _STEM.sub("", word.form)))
    return word


def _is(word: Word, form: str) -> bool:
    return attributes(word).get("VerbForm") == form


def _agreeing(noun: Word) -> dict[str, str]:
    """Returns what an adjective has of its noun, if that has all of it."""
    own = attributes(noun)
    return {name: own[name] for name in INFLECTED} if own.keys() >= {*INFLECTED} else {}


def _is_nominalized(noun: Word, adjectives: Set[str]) -> bool:
    """Returns whether a noun is an adjective, such as "Angestellte"."""
    if _NOT_NOMINALIZED.search(noun.lemma) or not re.search("e[nr]?$", noun.lemma):
        return False
    stem = re.sub("e[nr]?$", "", noun.lemma).lower()
    return stem in adjectives or _NOMINALIZED.search(stem) is not None


def _last_of_chain(words: Sequence[Word], i: int) -> int | None:
    """Returns the place of the last noun of "Jazz - Konzert - Reihe"; None if no dash and noun follow."""
    last = i
    while last + 2 < len(words) and words[last + 1].form == "-" and words[last + 2].upos == NOUN:
        last += 2
    return last if last > i else None


def _noun_of(words: Sequence[Word], i: int) -> int | None:
    """Returns the place of the noun of a determiner or an adjective; further adjectives may stand between."""
    for k in range(i + 1, min(i + _NEAR, len(words))):
        if words[k].upos == NOUN:
            between = words[i + 1 : k]
            return k if not between or between[-1].upos in (ADJECTIVE, DETERMINER) else None
        if words[k].upos not in (ADJECTIVE, ADVERB, DETERMINER) and words[k].form not in (",", "und", "oder"):
            return None
    return None


def _clause(words: Sequence[Word], i: int) -> range:
    start = next((k + 1 for k in range(i - 1, -1, -1) if words[k].form in BREAKS), 0)
    return range(start, next((k for k in range(i + 1, len(words)) if words[k].form in BREAKS), len(words)))


def _before_punctuation(words: Sequence[Word], i: int) -> bool:
    return i + 1 < len(words) and words[i + 1].upos == "PUNCT"
