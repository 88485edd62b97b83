"""Corrects the German train split, whose features are made of published UniMorph tags.

Unlike dev and test, it has possessives that are articles, articles with a gender in the plural, ordinals and
superlatives that are plain adjectives, and in 18 of 100 finite verbs another tense than the form has. A name in a
list, or behind a noun or a name, has the case of the whole, where dev and test have the nominative: features of names
are not learned from it. Most of its abbreviations of adverbs, "z.B.", are verbs; some conjunctions at the start of a
sentence and prepositions in names have another part of speech; and "wie" before a noun, a conjunction in dev, is a
preposition.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from training.data import genders
from training.data.genders import NAME, NOUN, GenderLexicon
from training.data.german_forms import DETERMINERS, PLURAL, Determiner, tense
from training.data.treebank import NOTHING, UNLABELLED, Tree, Word, attributes, with_attributes

INFLECTED = "Case", "Gender", "Number"
# What agreement in case, number and gender counts, of a determiner with the features that it has, and with its noun.
OF_ITS_OWN, OF_NOUN = (2, 1, 0.5), (1.5, 2, 2)
_BETWEEN = {"ADJ", "ADV", "NUM", "DET", "PUNCT", "CCONJ"}  # a determiner and its noun
_REACH = 7  # words behind a determiner, in which its noun is
_ENDING = re.compile("e[mnrs]?$")
_ORDINAL = re.compile(
    r"(\d+\.|erst|zweit|dritt|viert|fünft|sechst|siebt|siebent|neunt|zehnt|elft|zwölft|\w+zehnt|\w+zigst|\w*hundertst)"
    r"(e[mnrs]?)?"
)
_UPOS = dict.fromkeys(("ca.", "d.h.", "u.a.", "z.b.", "z.t."), "ADV") | {"etc.": "X", "..": "PUNCT"}  # no features
_OTHER_UPOS = (  # by form and UPOS; none has features
    {("wie", "ADP"): "CCONJ", ("und", NAME): "CCONJ"}
    | {(form, NAME): "ADP" for form in ("an", "für", "in", "nach")}
    | {(form, "CCONJ"): "SCONJ" for form in ("Als", "Nachdem", "Obwohl", "Während")}
)
_SUPERLATIVE = "st", "ßt"  # the end of its stem
_WITHOUT_UMLAUT = str.maketrans("äöü", "aou")


def corrected(trees: Sequence[Tree], native: Sequence[Tree], words: GenderLexicon) -> list[Tree]:
    """Returns sentences with other features.

    Args:
        native: sentences of the treebank itself; each counts as many times as it stands here.
        words: the genders of nouns.
    """
    constant = _constant_features(native)
    return [
        replace(tree, words=tuple(_corrected(tree.words, i, constant) for i in range(len(tree.words))))
        for tree in genders.corrected(trees, native, words)
    ]


def _corrected(words: Sequence[Word], i: int, constant: Mapping[str, Mapping[str, str]]) -> Word:
    word = words[i]
    if upos := _UPOS.get(word.form.lower()) or _OTHER_UPOS.get((word.form, word.upos)):
        return word._replace(upos=upos, feats=NOTHING)
    if word.upos == NAME:
        return word._replace(feats=UNLABELLED)
    own = attributes(word)
    if word.upos == "DET" and (determiner := DETERMINERS.get(word.form.lower())):
        return with_attributes(word, _determiner(determiner, own, _noun(words, i), constant))
    if word.upos == "ADJ" and own:
        return with_attributes(word, _adjective(word, own, words[i + 1 :]))
    if word.upos == "VERB" and own.get("Mood") == "Ind" and "Tense" in own:
        return with_attributes(word, own | {"Tense": tense(word.form, word.lemma) or own["Tense"]})
    return word


def _constant_features(native: Iterable[Tree]) -> Mapping[str, Mapping[str, str]]:
    """Returns the features that all forms of a determiner have, by its stem: the most frequent ones."""
    counts: defaultdict[str, Counter[tuple[tuple[str, str], ...]]] = defaultdict(Counter)
    for tree in native:
        for word in tree.words:
            if word.upos == "DET" and (determiner := DETERMINERS.get(word.form.lower())):
                features = attributes(word).items()
                counts[determiner.stem][tuple((n, v) for n, v in features if n not in (*INFLECTED, "Typo"))] += 1
    return {stem: dict(found.most_common(1)[0][0]) for stem, found in counts.items()}


def _determiner(
    found: Determiner, own: Mapping[str, str], noun: Mapping[str, str], constant: Mapping[str, Mapping[str, str]]
) -> Mapping[str, str]:
    """Returns the features of a determiner: of what its form may be, what agrees best with its own and its noun's."""
    if found.stem not in constant:
        return own
    case, gender = max(
        found.readings, key=lambda reading: _fit(reading, own, OF_ITS_OWN) + _fit(reading, noun, OF_NOUN)
    )
    features = {**constant[found.stem], "Case": case, "Number": PLURAL if gender == PLURAL else "Sing"}
    if gender != PLURAL:
        features["Gender"] = gender
    elif found.stem != "d" and "Gender" in noun:  # articles have none
        features["Gender"] = noun["Gender"]
    return features


def _fit(reading: tuple[str, str], features: Mapping[str, str], weights: tuple[float, float, float]) -> float:
    case, gender = reading
    in_number = features.get("Number") == (PLURAL if gender == PLURAL else "Sing")
    in_gender = in_number and gender in (PLURAL, features.get("Gender"))
    return sum(
        w for w, agrees in zip(weights, (features.get("Case") == case, in_number, in_gender), strict=True) if agrees
    )


def _noun(words: Sequence[Word], i: int) -> Mapping[str, str]:
    """Returns the features of the noun of a determiner, {} if none is found."""
    for word in words[i + 1 : i + 1 + _REACH]:
        if word.upos in (NOUN, NAME):
            return attributes(word)
        if word.upos not in _BETWEEN:
            break
    return {}


def _adjective(word: Word, own: Mapping[str, str], behind: Sequence[Word]) -> Mapping[str, str]:
    """Returns the features of an adjective: its degree by its form, all others of the noun behind it."""
    found = dict(own)
    form = word.form.lower()
    if _ORDINAL.fullmatch(form):
        found["NumType"] = "Ord"
    elif "Degree" in own:
        found["Degree"] = _degree(_ENDING.sub("", form), word.lemma.lower()) or own["Degree"]
    noun = next((one for one in behind if one.upos != "ADJ"), None)
    if "Case" in own and noun and noun.upos == NOUN and _ENDING.search(form):
        features = attributes(noun)
        if features.keys() >= {*INFLECTED}:
            found |= {name: features[name] for name in INFLECTED}
    return found


def _degree(stem: str, lemma: str) -> str | None:
    """Returns the degree of an adjective if it is a comparative or a superlative."""
    plain, base = stem.translate(_WITHOUT_UMLAUT), lemma.translate(_WITHOUT_UMLAUT)
    if plain == base + "er":
        return "Cmp"
    if not stem.endswith(_SUPERLATIVE) or lemma.endswith(_SUPERLATIVE):
        return None
    return "Sup" if plain[:2] == base[:2] or (stem, lemma) == ("best", "gut") else None
