"""Makes tokenizers by their names in manifests: "spacy-" and the language, such as "spacy-fr"."""

from functools import lru_cache

from spacy.util import get_lang_class

from service.text.english import Rules, spacy_rules, treebank_rules
from service.text.learned_tokenizer import LearnedTokenizer
from service.text.segmenter import Segmenter
from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.tokenizer import TOKENIZER_NAME, Tokenizer

ENGLISH = "spacy-en"
NEUTRAL = "xx"  # spaCy's rules for no language in particular


def tokenizer_name(language: str) -> str:
    """Returns the name of the tokenizer for a language, a tag of BCP 47 such as "fr" or "pt-BR"."""
    return f"spacy-{language.partition('-')[0].lower()}"


@lru_cache
def named_tokenizer(name: str) -> SpacyTokenizer:
    """Returns the tokenizer of a name, the same one each time. Raises ValueError for an invalid name."""
    if not (named := TOKENIZER_NAME.fullmatch(name)):
        raise ValueError(f"{name!r} is not the name of a tokenizer, as {ENGLISH} is")
    return SpacyTokenizer(rules_of(named[1]))


def make_tokenizer(name: str | None, segmenter: Segmenter | None = None) -> Tokenizer:
    """Returns the tokenizer of a model: the named one, English by default, with the model's segmenter if any."""
    rules = named_tokenizer(name or ENGLISH)
    return LearnedTokenizer(rules, segmenter) if segmenter else rules


def rules_of(language: str) -> Rules:
    """Returns the rules of a language: the treebank's for English, otherwise spaCy's, or NEUTRAL where it has none."""
    if tokenizer_name(language) == ENGLISH:
        return treebank_rules()
    try:
        found = get_lang_class(language)
    except ImportError:
        found = get_lang_class(NEUTRAL)
    return spacy_rules(found.Defaults)
