"""English tokenization rules: spaCy's, adapted to the English Web Treebank.

The taggers are trained on the treebank's tokens, so other tokenization costs accuracy. Each difference was found in
its train or dev split, never in test.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spacy.lang.char_classes import ALPHA, HYPHENS
from spacy.lang.en import English
from spacy.symbols import ORTH
from spacy.util import compile_infix_regex, compile_prefix_regex, compile_suffix_regex

from service.text.normalization import PRINTED_QUOTES

Match = re.Match[str]
CHUNK = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Rules:
    """How a chunk of text without spaces is split into tokens, in the terms of spaCy's tokenizer.

    chunk: finds chunks in a text; a language may have tokens with spaces, "26 000";
    exceptions: chunks, or what remains without affixes, and their tokens;
    prefix, suffix: search for a token at an end;
    infixes: finds the tokens that split the rest;
    whole: matches chunks that are not split, before the affixes; address: the same, after them.
    """

    exceptions: Mapping[str, tuple[str, ...]]
    prefix: Callable[[str], Match | None]
    suffix: Callable[[str], Match | None]
    infixes: Callable[[str], Iterator[Match]]
    whole: Callable[[str], Match | None]
    address: Callable[[str], Match | None]
    chunk: re.Pattern[str] = CHUNK


# A web address ends with a bracket that it opens itself: ".../Tokyo_(city)".
_BRACKETED = r"(?:https?|ftp)://\S*\([^\s()]*\)$"
_NUMBERS = r"(?<=[0-9])–(?=[0-9])"  # "21|–|7", as "21|-|7"
# An emoticon to spaCy, so that "(8)" is "(" and "8)"; it is a number of a list or in brackets far more often.
_NOT_EMOTICONS = ("8)",)


def spacy_rules(own: Any = English.Defaults) -> Rules:
    """Returns spaCy's rules for a language, by its defaults, without what is wrong in all languages."""
    exceptions = own.tokenizer_exceptions or {}
    whole, bracketed = own.token_match or re.compile("(?!)").match, re.compile(_BRACKETED).match
    return Rules(
        exceptions={k: tuple(token[ORTH] for token in v) for k, v in exceptions.items() if k not in _NOT_EMOTICONS},
        prefix=compile_prefix_regex(own.prefixes or ()).search,
        suffix=compile_suffix_regex(own.suffixes or ()).search,
        infixes=compile_infix_regex([*(own.infixes or ()), _NUMBERS]).finditer,
        whole=lambda chunk: bracketed(chunk) or whole(chunk),
        address=own.url_match or re.compile("(?!)").match,
    )


# Repeated characters are one token: "!!!", "?!", "...", "***", "====", "<<", quotes typed twice.
_RUNS = (
    r"(?<!\.)\.[!?]+",
    r"[!?:]{2,}",
    r"(?P<run>[-=_*#<>~+$,'’`‘])(?P=run)+",
    "‘’",
    r"[-=]{2,}>?",
)
_PREFIXES = (
    *_RUNS,
    r"-(?=[\w$])",  # a dash without its space: "-Russia"
    r"etc\.(?=[,;)])",
)
_SUFFIXES = (
    *_RUNS,
    r"[:;=]['’]?[-o^]?[)(\]\[DPp]+",  # "great:)"
    r"(?<=\d)(?:am|pm|AM|PM|a\.m\.|p\.m\.)",  # "7:30|PM"
    r"(?<=\d)(?:k|b|bn|MM)",  # thousands and billions; spaCy has millions: "65|k"
    r"(?<=[\w&])-",  # a dash without its space: "Vince|-"
    r"(?<=[A-Za-z])\++",  # marks: "A|+"
    r"(?<=[A-Za-z])/",
    "`s",
)

# Words with these prefixes stay whole: "e-mail", "non-commercial"; other hyphens are tokens: "well|-|known".
_BOUND = (
    "anti co counter cross e ex intra micro mid multi neo non over post pre pro psycho re semi socio sub un".split()
)
_FREE = "".join(rf"(?<!\b(?i:{word}))" for word in _BOUND)
_INFIXES = (
    *_RUNS,
    rf"(?<=[{ALPHA}0-9.]){_FREE}(?:{HYPHENS})(?=[{ALPHA}])",
    rf"(?<=[{ALPHA}]){_FREE}-(?=[0-9$])",  # "F|-|16"
    r"(?<=^[0-9])/(?=[0-9]$)",  # "1|/|2"; longer ones are dates
    rf"(?<=[{ALPHA}]):(?=[0-9])",
    rf"(?<=[{ALPHA}])[?!](?=[{ALPHA}#@])",  # "problem|?|or"
    _NUMBERS,
    r"(?<=\w)\"(?=[<.-])",
    r"[()\[\]]",  # "date|(|s|)"
    "[。！？、，；：]",  # of scripts without spaces
)

_WHOLE = re.compile(
    rf"(?:https?|ftp)://\S*[\w/]$|{_BRACKETED}"
    r"|(?:\d+[-/.])*(?:\d{3}|\d{5})-\d{4}$"  # telephone numbers, zip codes; but "10|-|12" and "1969|-|1970"
    r"|\d+(?:-\d+){2,}$"  # dates and longer telephone numbers
    r"|['’]?\d+['’]?s$"  # decades: "60's", "'90s"
    r"|['’]\d\d$"
    r"|#[A-Za-z]\w+$"
    r"|[\w.%+-]+@[\w.-]*\w$"  # mail addresses, with or without a domain: "Rice@ENRON"
)

# Abbreviations that spaCy lacks, of the treebank and common ones.
_ABBREVIATIONS = (
    "Attn. Blvd. Capt. Col. Conf. Cpl. Dept. Drs. Esp. Fig. Figs. Fri. Ft. Lt. Maj. Mon. Ph. Pvt. Reps. Sat. Sec. Sgt."
    " Sr. Thu. Thur. Thurs. Tue. Tues. Univ. Vol. Wed. a.k.a. approx. b/c cf. dept. eg. esp. excl. ext. fig. figs."
    " incl. o.k. pp. vol."
).split()
_MORE = {
    "wanna": ("wan", "na"),
    "Wanna": ("Wan", "na"),
    "outta": ("out", "ta"),
    "alot": ("a", "lot"),
    "I.": ("I", "."),  # the end of a sentence; other capitals with a full stop are initials
    **{f"'{t}{verb}": (f"'{t}", verb) for t in "tT" for verb in ("is", "was", "were", "will", "would")},
}
# What the treebank lacks, or hardly has, and what it stands for.
READ_AS = {"'t": "it"} | dict.fromkeys(PRINTED_QUOTES, '"')
# spaCy splits "id" and "wed" as contractions, which they are not; and it keeps "and/or", which is three tokens.
_NOT_EXCEPTIONS = ("id", "Id", "wed", "Wed", "and/or")


def treebank_rules() -> Rules:
    """Returns spaCy's rules adapted to the treebank."""
    own = English.Defaults
    spacy = spacy_rules()
    exceptions = {k: v for k, v in spacy.exceptions.items() if k not in _NOT_EXCEPTIONS}
    exceptions |= {k.upper(): tuple(map(str.upper, v)) for k, v in exceptions.items() if len(v) > 1}  # "DON'T"
    exceptions |= _MORE | {word: (word,) for word in _ABBREVIATIONS}
    kept_infixes = [infix for infix in own.infixes or () if HYPHENS not in infix]
    return Rules(
        exceptions=exceptions,
        prefix=compile_prefix_regex([*_PREFIXES, *(own.prefixes or ())]).search,
        suffix=compile_suffix_regex([*_SUFFIXES, *(own.suffixes or ())]).search,
        infixes=compile_infix_regex([*_INFIXES, *kept_infixes]).finditer,
        whole=_WHOLE.match,
        address=spacy.address,
    )
