"""Forms of a language that its treebank need not show: abbreviations, pronouns behind verbs, words with hyphens."""

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import NamedTuple

from training.data import spanish
from training.data.abbreviations import abbreviations

# Hardly anybody is told to do something in French treebanks, of news: "dis-lui", "donne-le-moi".
OBJECTS, PERSONS, ADVERBIAL = ("-le", "-la", "-les"), ("-moi", "-toi", "-lui", "-nous", "-vous", "-leur"), ("-en", "-y")
FRENCH_ENCLITICS = (
    *((one,) for one in (*OBJECTS, *PERSONS, *ADVERBIAL)),
    *product(OBJECTS, PERSONS),
    *product(PERSONS, (*OBJECTS, *ADVERBIAL)),
)
FRENCH_WHOLE = (
    "aujourd'hui c'est-à-dire ci-dessous ci-dessus ci-joint elle-même elles-mêmes eux-mêmes lui-même moi-même "
    "nous-mêmes peut-être presqu'île prud'homme quelqu'un quelqu'une rendez-vous soi-même toi-même vis-à-vis "
    "vous-même vous-mêmes"
).split()
# "geht's": German treebanks have more names with "'s" than these.
BEFORE_ES = (
    "bin bis bleibt bringt braucht dass darf dauert du er fehlt find finde geht gib gibt glaub hab habe haben hast hat "
    "hatte hätt hätte heißt ich ihr ist kann kannst klappt klingt kommt kostet könnt könnte kriegt lass lasst läuft "
    "lohnt mach macht mag man mir müsst nenn nimm nimmt ob passt passiert reicht regnet schafft schmeckt schneit seh "
    "sei sie sieht sind sollt spielt steht stimmt tut versteh versuch wann war waren warum weil weiß wenn wer wie will "
    "willst wir wird wo wollt wurde wär wäre würd würde"
).split()
BEFORE_DAS = "an auf durch für hinter in neben ohne über um unter vor".split()
GERMAN_MULTIWORDS = {f"{one}'s": (one, "'s") for one in BEFORE_ES} | {f"{one}'s": (one, "das") for one in BEFORE_DAS}


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


BY_LANGUAGE = {
    "de": KnownForms(multiwords=GERMAN_MULTIWORDS),
    "es": KnownForms(multiwords=spanish.imperatives(), endings=spanish.endings()),
    "fr": KnownForms(enclitics=FRENCH_ENCLITICS, whole=FRENCH_WHOLE),
}


def known_forms(language: str, exceptions: Mapping[str, Collection[str]]) -> KnownForms:
    """Returns the known forms of a language.

    Args:
        language: the primary language of a tag of BCP 47, such as "de".
        exceptions: of spaCy's tokenizer for it: chunks and their tokens.
    """
    return BY_LANGUAGE.get(language, KnownForms())._replace(abbreviations=abbreviations(language, exceptions))
