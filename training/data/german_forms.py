"""What German determiners and verbs say by their form: cases, genders and numbers, or the tense."""

import re
from collections.abc import Mapping
from typing import NamedTuple

PLURAL = "Plur"  # in place of a gender, which determiners do not tell in the plural
PRESENT, PAST = "Pres", "Past"
_ENDINGS = {
    "e": "Nom Fem, Acc Fem, Nom Plur, Acc Plur",
    "em": "Dat Masc, Dat Neut",
    "en": "Acc Masc, Dat Plur",
    "er": "Nom Masc, Dat Fem, Gen Fem, Gen Plur",
    "es": "Nom Neut, Acc Neut, Gen Masc, Gen Neut",
}
_ARTICLES = {
    "das": "Nom Neut, Acc Neut",
    "dem": _ENDINGS["em"],
    "den": _ENDINGS["en"],
    "der": _ENDINGS["er"],
    "des": "Gen Masc, Gen Neut",
    "die": _ENDINGS["e"],
}
_LIKE_EIN = "ein", "kein", "mein", "dein", "sein", "ihr", "unser", "euer"
_LIKE_DIESER = "all", "dies", "irgendwelch", "jed", "jen", "manch", "solch", "viel", "welch"
_PLURALS = "beid", "einig", "mehrer"
# Verbs whose present is of another stem ("ist"), or formed as the past of others ("kann").
_IRREGULAR = {*"sein haben werden dürfen können mögen müssen sollen wissen wollen".split()}
_PREFIX = re.compile(
    "ab|an|auf|aus|bei|bereit|bevor|dar|durch|ein|entgegen|fest|fort|frei|gegenüber|heim|her(?:aus|um|unter|vor)?|"
    "hin(?:aus|ein|zu)?|hoch|los|mit|nach|nieder|statt|teil|über|um|unter|vor(?:aus|bei)?|weg|weiter|wieder|zu|zurück|"
    "zusammen"
)
_CHANGED = {"a": ("ä",), "au": ("äu",), "e": ("i", "ie"), "o": ("ö",)}  # "fährt", "läuft", "gibt", "sieht", "stößt"


class Determiner(NamedTuple):
    """A form of a determiner. stem: "dies" of "dieser", "d" of articles; readings: its case and gender, or PLURAL."""

    stem: str
    readings: tuple[tuple[str, str], ...]


def _determiners() -> Mapping[str, Determiner]:
    found = {form: ("d", readings) for form, readings in _ARTICLES.items()}
    for stem in (*_LIKE_DIESER, *_PLURALS):
        found |= {stem + ending: (stem, readings) for ending, readings in _ENDINGS.items()}
    for stem in _LIKE_EIN:
        inflected = "eur" if stem == "euer" else stem
        found |= {inflected + ending: (stem, readings) for ending, readings in _ENDINGS.items()}
        found |= {stem: (stem, "Nom Masc, Nom Neut, Acc Neut"), inflected + "es": (stem, "Gen Masc, Gen Neut")}
    read = {form: (stem, [tuple(one.split()) for one in text.split(", ")]) for form, (stem, text) in found.items()}
    return {
        form: Determiner(stem, tuple((case, gender) for case, gender in readings if _exists(stem, gender)))
        for form, (stem, readings) in read.items()
    }


def _exists(stem: str, gender: str) -> bool:
    return gender != PLURAL if stem == "ein" else gender == PLURAL or stem not in _PLURALS


DETERMINERS = {form: found for form, found in _determiners().items() if found.readings}


def tense(form: str, lemma: str) -> str | None:
    """Returns PRESENT or PAST of a finite verb in the indicative; None of verbs whose form does not tell it.

    Args:
        lemma: an infinitive, or several with "|" between them, whose prefix the form may lack ("geht" of "ausgehen").
    """
    lemmas = lemma.lower().replace("ß", "ss").split("|")
    if not _IRREGULAR.isdisjoint(lemmas):
        return None
    form = form.lower().replace("ß", "ss")
    return PRESENT if any(_is_present(form, one) for one in lemmas) else PAST


def _is_present(form: str, lemma: str) -> bool:
    if lemma.endswith("nehmen") and form.endswith("nimmt"):
        return True
    for whole in (lemma, lemma[len(found.group()) :] if (found := _PREFIX.match(lemma)) else lemma):
        stem = re.sub("e?n$", "", whole)
        stems = {stem, re.sub("e([lr])$", r"\1", stem)}  # "handle"
        if vowels := list(re.finditer("au|[aeo]", stem)):
            last = vowels[-1]
            stems |= {stem[: last.start()] + new + stem[last.end() :] for new in _CHANGED[last.group()]}
        if any(form == one + ending for one in stems for ending in ("e", "st", "est", "t", "et", "n", "en")):
            return True
        if form in stems - {stem} or (form == stem and stem.endswith(("d", "t"))):  # "rät", "gilt", "hält"
            return True
    return False
