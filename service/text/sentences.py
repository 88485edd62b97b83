"""Groups tokens into sentences, by rules for ends of sentences, what may follow them, and starts of sentences."""

import re
from collections.abc import Sequence
from itertools import chain, pairwise

from spacy.pipeline import Sentencizer

from service.text.slices import Sliced
from service.text.tokenizer import BLANK_LINE, Sentence, Token

_AT_ONCE = 256  # tokens or sentences per slice
# The terminators of all scripts that spaCy knows, alone or in runs: ".", "?!", "。".
_TERMINATORS = frozenset(Sentencizer.default_punct_chars) | {"…"}
_CLOSING = frozenset("\"'”’»)]}") | {"''", "’’"}
# An emoji may be joined with others, and have a skin tone, a selector or tags.
_EMOJI = "[\U0001f300-\U0001faff][\U0001f300-\U0001faff\u2190-\u2bff\u200d\ufe0e\ufe0f\U000e0020-\U000e007f]*"
_EMOTICON = re.compile(rf"[:;=]['’]?[-o^]?[)(\]\[DPp]+|\([:;=]|{_EMOJI}")
_RULE = re.compile(r"[-=_*~#]{5,}")  # a horizontal rule of characters
# "1.", "a." or "iv." at the start of a sentence are list numbers.
_NUMBER = re.compile(r"\d{1,3}|[A-Za-z]|[ivxIVX]{1,4}")


def group(
    tokens: Sequence[Token], ends: Sequence[int], words: Sequence[Sequence[Token]] | None = None
) -> Sliced[list[Sentence]]:
    """Returns the sentences that end before some indices of tokens; with `words`, those in place of each token."""
    sentences: list[Sentence] = []
    for start, end in pairwise([0, *ends]):
        members = tuple(tokens[start:end] if words is None else chain.from_iterable(words[start:end]))
        sentences.append(Sentence(members[0].start, members[-1].end, members))
        if not len(sentences) % _AT_ONCE:
            yield
    return sentences


def rule_ends(text: str, tokens: Sequence[Token]) -> Sliced[list[int]]:
    """Returns the index after the last token of each sentence."""
    ends: list[int] = []
    first = 0
    pause = _AT_ONCE
    terminator = None  # of the current sentence, while closing tokens may follow
    for i, (before, token) in enumerate(pairwise(tokens), start=1):
        gap = token.start - before.end
        if gap <= 1 and terminator is None and before.text.isalnum():
            continue  # fast path
        if i > pause:
            pause = i + _AT_ONCE
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


def _terminates(tokens: Sequence[Token], first: int, i: int) -> bool:
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
