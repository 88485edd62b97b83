"""English as the English Web Treebank writes it: spaCy's rules, and where the treebank goes another way.

The treebank's tokens are those that the taggers learn, so what is tokenized another way is tagged worse. Each
difference was seen in the treebank's train or dev part, never in test.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from re import _parser  # type: ignore[attr-defined]

from spacy.lang.char_classes import ALPHA, HYPHENS
from spacy.lang.en import English
from spacy.symbols import ORTH
from spacy.util import compile_infix_regex, compile_prefix_regex

Match = re.Match[str]


@dataclass(frozen=True, slots=True)
class Rules:
    """How a chunk of text between spaces is cut into tokens, in the terms of spaCy's tokenizer.

    exceptions: chunks, or what affixes leave of them, and the tokens they are cut into;
    prefix, suffix: search for the token that can be taken off an end;
    infixes: finds the tokens that cut what is left;
    whole: matches what is not cut at all, tried before the affixes; address: the same, tried after them.
    """

    exceptions: Mapping[str, tuple[str, ...]]
    prefix: Callable[[str], Match | None]
    suffix: Callable[[str], Match | None]
    infixes: Callable[[str], Iterator[Match]]
    whole: Callable[[str], Match | None]
    address: Callable[[str], Match | None]


def spacy_rules() -> Rules:
    """Returns spaCy's rules as they are."""
    own = English.Defaults
    exceptions = own.tokenizer_exceptions or {}
    return Rules(
        exceptions={chunk: tuple(piece[ORTH] for piece in pieces) for chunk, pieces in exceptions.items()},
        prefix=compile_prefix_regex(own.prefixes or ()).search,
        suffix=suffix_search(own.suffixes or ()),
        infixes=compile_infix_regex(own.infixes or ()).finditer,
        whole=own.token_match or re.compile("(?!)").match,
        address=own.url_match or re.compile("(?!)").match,
    )


def suffix_search(suffixes: Sequence[str]) -> Callable[[str], Match | None]:
    """Returns what finds the suffix of a chunk by spaCy's rules as one pattern of all of them would, in less time.

    A suffix of one character can only be the last character: most of the rules need not be tried at each place.
    """
    widths = {suffix: _parser.parse(suffix).getwidth() for suffix in suffixes}  # at least and at most, in characters
    longer = re.compile("|".join(f"{suffix}$" for suffix, (_, most) in widths.items() if most > 1)).search
    last = re.compile("|".join(suffix for suffix, width in widths.items() if width == (1, 1))).match

    def search(chunk: str) -> Match | None:
        return longer(chunk) or last(chunk, len(chunk) - 1)

    return search


# "!!!", "?!", "...": one token, as are "***", "====", "<<" and quotes typed twice.
_RUNS = (
    r"(?<!\.)\.[!?]+",
    r"[!?:]{2,}",
    r"(?P<run>[-=_*#<>~+$,'’`‘])(?P=run)+",
    "‘’",
    r"[-=]{2,}>?",
)
_PREFIXES = (
    *_RUNS,
    r"-(?=[\w$])",  # a dash typed without its space: "-Russia"
    r"etc\.(?=[,;)])",
)
_SUFFIXES = (
    *_RUNS,
    r"[:;=]['’]?[-o^]?[)(\]\[DPp]+",  # "great:)"
    r"(?<=\d)(?:am|pm|AM|PM|a\.m\.|p\.m\.)",  # "7:30|PM"
    r"(?<=\d)(?:k|b|bn|MM)",  # thousands and billions, as spaCy has it for millions: "65|k"
    r"(?<=[\w&])-",  # a dash typed without its space: "Vince|-"
    r"(?<=[A-Za-z])\++",  # marks: "A|+"
    r"(?<=[A-Za-z])/",
    "`s",
)

# Words that these begin stay whole: "e-mail", "non-commercial"; other hyphens are tokens: "well|-|known".
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
    rf"(?<=[{ALPHA}])[?!](?=[{ALPHA}])",  # "problem|?|or"
    r"(?<=\w)\"(?=[<.-])",
    r"[()\[\]]",  # "date|(|s|)"
    "[。！？、，；：]",  # of scripts that write no spaces
)

_WHOLE = re.compile(
    r"(?:https?|ftp)://\S*[\w/]$"
    r"|(?:\d+[-/.])*(?:\d{3}|\d{5})-\d{4}$"  # telephone numbers, zip codes; but "10|-|12" and "1969|-|1970"
    r"|\d+(?:-\d+){2,}$"  # dates and longer telephone numbers
    r"|['’]?\d+['’]?s$"  # decades: "60's", "'90s"
    r"|['’]\d\d$"
    r"|#[A-Za-z]\w+$"
    r"|[\w.%+-]+@[\w.-]*\w$"  # mail addresses, with or without a domain: "Rice@ENRON"
)

# Those that spaCy lacks and the treebank has, and their like among weekdays and ranks.
_ABBREVIATIONS = (
    "Attn. Blvd. Capt. Col. Conf. Cpl. Drs. Esp. Fri. Ft. Lt. Maj. Mon. Ph. Pvt. Reps. Sat. Sec. Sgt. Sr. Thu. Thur."
    " Thurs. Tue. Tues. Vol. Wed. a.k.a. b/c eg. esp. ext. o.k."
).split()
_MORE = {
    "wanna": ("wan", "na"),
    "Wanna": ("Wan", "na"),
    "outta": ("out", "ta"),
    "alot": ("a", "lot"),
}
# spaCy cuts "id" and "wed" as contractions, but they are words; and it keeps "and/or", which is three tokens.
_NOT_EXCEPTIONS = ("id", "Id", "wed", "Wed", "and/or")


def treebank_rules() -> Rules:
    """Returns spaCy's rules with the treebank's habits."""
    own = English.Defaults
    spacy = spacy_rules()
    exceptions = {k: v for k, v in spacy.exceptions.items() if k not in _NOT_EXCEPTIONS}
    exceptions |= {k.upper(): _upper(v) for k, v in exceptions.items() if len(v) > 1}  # "DON'T"
    exceptions |= _MORE | {word: (word,) for word in _ABBREVIATIONS}
    kept_infixes = [infix for infix in own.infixes or () if HYPHENS not in infix]
    return Rules(
        exceptions=exceptions,
        prefix=compile_prefix_regex([*_PREFIXES, *(own.prefixes or ())]).search,
        suffix=suffix_search([*_SUFFIXES, *(own.suffixes or ())]),
        infixes=compile_infix_regex([*_INFIXES, *kept_infixes]).finditer,
        whole=_WHOLE.match,
        address=spacy.address,
    )


def _upper(pieces: Iterable[str]) -> tuple[str, ...]:
    return tuple(piece.upper() for piece in pieces)
