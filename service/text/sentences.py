"""Where the sentences of a text end: by rules, or as a classifier decides."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from spacy.pipeline import Sentencizer

from service.text.interruptible import Interruptible
from service.text.segmenter import Classifier, PossibleEnds
from service.text.tokens import BLANK_LINE, TokenSpan

_TOKENS_AT_ONCE = 256  # by the rules
_CLASSIFIED_AT_ONCE = 32  # by the classifier

# The terminators of all scripts that spaCy knows, alone or in runs: ".", "?!", "。".
_TERMINATORS = frozenset(Sentencizer.default_punct_chars) | {"…"}
_CLOSING = frozenset("\"'”’»)]}") | {"''", "’’"}
# An emoji may be joined with others, and have a skin tone, a selector or tags.
_EMOJI = "[\U0001f300-\U0001faff][\U0001f300-\U0001faff\u2190-\u2bff\u200d\ufe0e\ufe0f\U000e0020-\U000e007f]*"
_EMOTICON = re.compile(rf"[:;=]['’]?[-o^]?[)(\]\[DPp]+|\([:;=]|{_EMOJI}")
_RULE = re.compile(r"[-=_*~#]{5,}")  # a horizontal rule of characters
# "1.", "a." or "iv." at the start of a sentence are list numbers.
_NUMBER = re.compile(r"\d{1,3}|[A-Za-z]|[ivxIVX]{1,4}")
_OPENING_GUILLEMET, _CLOSING_GUILLEMET = "«»"


def rule_ends(text: str, tokens: Sequence[TokenSpan]) -> Interruptible[list[int]]:
    """Returns the index after the last token of each sentence."""
    ends: list[int] = []
    first = 0
    pause = _TOKENS_AT_ONCE
    terminator = None  # of the current sentence, while closing tokens may follow
    for i, (before, token) in enumerate(pairwise(tokens), start=1):
        gap = token.start - before.end
        if gap <= 1 and terminator is None and before.text.isalnum():
            continue  # fast path
        if i > pause:
            pause = i + _TOKENS_AT_ONCE
            yield
        if _terminates(tokens, first, i - 1):
            terminator = before.text
        if gap > 1 and BLANK_LINE.search(text, before.end, token.start):
            ended = True
        elif terminator is None:
            ended = _RULE.fullmatch(before.text) is not None
        elif _closes(token.text, gap):
            continue
        else:
            ended = _starts(token.text, terminator, before.text, gap)
        terminator = None
        if ended:
            ends.append(i)
            first = i
    if tokens:
        ends.append(len(tokens))
    return ends


def _terminates(tokens: Sequence[TokenSpan], first: int, i: int) -> bool:
    """Returns whether a token terminates the sentence that begins with token `first`."""
    word = tokens[i].text
    if word[0] not in _TERMINATORS or word[-1] not in _TERMINATORS:
        return _EMOTICON.fullmatch(word) is not None
    numbers = i == first + 1 and word == "." and _NUMBER.fullmatch(tokens[first].text)
    return not numbers


def _closes(word: str, gap: int) -> bool:
    """Returns whether a token after a terminator belongs to the sentence: a closing quote, another terminator."""
    if word in _CLOSING:
        return gap == 0 or word in ")]}"
    return word[0] in _TERMINATORS or _EMOTICON.fullmatch(word) is not None


def _starts(word: str, terminator: str, before: str, gap: int) -> bool:
    """Returns whether a token can start a sentence after the terminator; `before` is the token before it."""
    if word[0].islower():
        # Not after "..." or an emoticon, nor after a quote or bracket: '"Really?" she asked.'
        return before == terminator and (terminator[-1] in "?!" or (terminator == "." and gap > 0))
    return word[0] not in ",;:" and (gap > 0 or word[0].isalpha())


def learned_ends(
    text: str, tokens: Sequence[TokenSpan], classifier: Classifier, abbreviations: Mapping[str, bool]
) -> Interruptible[list[int]]:
    """Returns the index after the last token of each sentence, as a classifier decides; see `Segmenter`."""
    ruled = set((yield from rule_ends(text, tokens)))
    if len(tokens) > _CLASSIFIED_AT_ONCE:
        yield
    possible = PossibleEnds(text, tokens, ruled)
    closing = _closing_guillemets(tokens) if _CLOSING_GUILLEMET in text else ()
    ends: list[int] = []
    first = 0
    quotation_ended = False  # before the last place, which was before its guillemet
    for number, i in enumerate(possible.indices, start=1):
        behind, start = tokens[i - 1].end, tokens[i].start
        ends_paragraph = start - behind > 1 and BLANK_LINE.search(text, behind, start)  # which treebanks may not have
        ends_sentence = abbreviations.get(tokens[i - 1].text.lower(), True)
        ended = ends_sentence and classifier.accepts(possible.features(i, first))
        if i in closing:
            quotation_ended, ended = ended, False
        elif quotation_ended:
            quotation_ended, ended = False, not tokens[i].text[0].islower()
        if ends_paragraph or ended:
            ends.append(i)
            first = i
        if not number % _CLASSIFIED_AT_ONCE:
            yield
    return [*ends, len(tokens)] if tokens else []


def _closing_guillemets(tokens: Sequence[TokenSpan]) -> set[int]:
    """Returns the indices of guillemets that close a quotation behind a space, as in French: "« Oui. »"."""
    found: set[int] = set()
    opened = False
    for i, token in enumerate(tokens):
        if token[0] == _CLOSING_GUILLEMET and opened and token[1] > tokens[i - 1][2]:
            found.add(i)
        opened = token[0] == _OPENING_GUILLEMET or (opened and token[0] != _CLOSING_GUILLEMET)
    return found
