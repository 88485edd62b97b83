"""Forms of a language that its treebank need not show: abbreviations, pronouns behind verbs, words with hyphens."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

from training.data import spanish
from training.data.abbreviations import abbreviations

# Hardly anybody is told to do something in French treebanks, of news: "dis-lui", "donne-le-moi".
OBJECTS, PERSONS, LAST = ("-le", "-la", "-les"), ("-moi", "-toi", "-lui", "-nous", "-vous", "-leur"), ("-en", "-y")
FRENCH_ENCLITICS = (
    *((one,) for one in (*OBJECTS, *PERSONS, *LAST)),
    *product(OBJECTS, PERSONS),
    *product(PERSONS, (*OBJECTS, *LAST)),
)
WHOLE = {
    "fr": (
        "aujourd'hui c'est-à-dire ci-dessous ci-dessus ci-joint elle-même elles-mêmes eux-mêmes lui-même moi-même "
        "nous-mêmes peut-être presqu'île prud'homme quelqu'un quelqu'une rendez-vous soi-même toi-même vis-à-vis "
        "vous-même vous-mêmes"
    ).split()
}


class KnownForms(NamedTuple):
    """What a tokenizer learns beside its treebank.

    Attributes:
        abbreviations: in lower case, and whether a sentence may end after them.
        enclitics: pronouns, one or two, that stand behind verbs as tokens by themselves, such as ("-le", "-moi").
        whole: words with an apostrophe or a hyphen in them that are one token.
        multiwords: tokens in lower case and the words that they become, where they are no words of the treebank.
        endings: of other such tokens, and the words that they become.
    """

    abbreviations: Mapping[str, bool] = MappingProxyType({})
    enclitics: Sequence[tuple[str, ...]] = ()
    whole: Sequence[str] = ()
    multiwords: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    endings: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def known_forms(language: str, exceptions: Mapping[str, Collection[str]]) -> KnownForms:
    """Returns the known forms of a language.

    Args:
        language: the primary language of a tag of BCP 47, such as "de".
        exceptions: of spaCy's tokenizer for it: chunks and their tokens.
    """
    return KnownForms(
        abbreviations(language, exceptions),
        FRENCH_ENCLITICS if language == "fr" else (),
        WHOLE.get(language, ()),
        spanish.imperatives() if language == "es" else {},
        spanish.endings() if language == "es" else {},
    )
