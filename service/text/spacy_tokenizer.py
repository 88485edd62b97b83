"""Splits text by rules: into tokens by spaCy's for a language, without its vocabulary, and into sentences by own ones.

spaCy's own loop stores every new word in its vocabulary, and its memory zones leak, so memory would grow with traffic;
and it is not thread-safe. Here chunks between spaces, whose tokens do not depend on the context, are split once and
cached in a bounded cache.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, pairwise, starmap
from operator import itemgetter

from spacy.pipeline import Sentencizer

from service.text.english import CHUNK, Rules, treebank_rules
from service.text.slices import Sliced, collect
from service.text.symbols import EMOJI, UNSPACED
from service.text.tokenizer import BLANK_LINE, Sentence, Token, Tokenizer, new_token

_LONGEST_CHUNK = 256
_MOST_AFFIXES = 32  # removed from each end of a chunk; natural text has fewer
_SUFFIX_WINDOW = 20
_SLICE_CHARACTERS = 256
_SLICE_PIECES = 64  # pieces per slice of an unnatural chunk

# The cache takes 50 MB at most, with one token per character.
CACHED_CHUNKS = 16_384
LONGEST_CACHED = 16  # characters

_CLITIC = re.compile(r"n't|'(?:s|m|d|ll|re|ve)|`s", re.IGNORECASE)
# Clitics only where an exception splits them off: "can|not", "wan|na", "do|nt", "'t|is".
_BARE_CLITICS = {*"not na ta nt s m d ll re ve is was were will would".split()}

_NUMBERS_APART = re.compile(r"\d \d{3}")  # by a space: "26 000"
_ALONE = re.compile(f"({UNSPACED}|{EMOJI})")

# For unnatural chunks: what stands alone, runs of other letters and of one mark, in linear time.
_PIECE = re.compile(rf"https?://\S+|{UNSPACED}|{EMOJI}|(?:(?!{UNSPACED})\w)+|([^\w\s])\1*")

Piece = tuple[str, bool]
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


class SpacyTokenizer(Tokenizer):
    """Splits text by the rules of a language, by default those for English. Thread-safe."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules or treebank_rules()
        self._cached_pieces = lru_cache(CACHED_CHUNKS)(self._pieces)

    def chunk(self, plain: str) -> re.Pattern[str]:
        """Returns the pattern of the chunks of a text in its normal form, which are split independently."""
        chunk = self.rules.chunk
        return chunk if chunk is CHUNK or _NUMBERS_APART.search(plain) else CHUNK

    def words_of_plain(self, plain: str) -> Sliced[list[str]]:
        """Returns the tokens of a text in its normal form; takes half the time of `tokenize_plain`."""
        words: list[str] = []
        size, pause = 0, _SLICE_CHARACTERS
        pattern = self.chunk(plain)
        for chunk in plain.split() if pattern is CHUNK else pattern.findall(plain):
            if len(chunk) <= LONGEST_CACHED:
                if pieces := self._cached_pieces(chunk):
                    words += map(itemgetter(0), pieces)
                else:
                    words.append(chunk)
            elif len(chunk) <= _LONGEST_CHUNK:
                words += [piece for piece, _ in self._pieces(chunk)] or (chunk,)
            else:
                words += yield from collect((mark.group() for mark in _PIECE.finditer(chunk)), _SLICE_PIECES)
            size += len(chunk)
            if size > pause:
                pause = size + _SLICE_CHARACTERS
                yield
        return words

    def split_plain(self, plain: str) -> Sliced[list[Sentence]]:
        tokens = yield from self.tokenize_plain(plain)
        ends = yield from rule_ends(plain, tokens)
        return (yield from group(tokens, ends))

    def tokenize_plain(self, plain: str) -> Sliced[list[Token]]:
        tokens: list[Token] = []
        pause = _SLICE_CHARACTERS
        for match in self.chunk(plain).finditer(plain):
            chunk = match.group()
            start = match.start()
            if start > pause:
                pause = start + _SLICE_CHARACTERS
                yield
            if len(chunk) <= LONGEST_CACHED:
                pieces = self._cached_pieces(chunk)
            elif len(chunk) <= _LONGEST_CHUNK:
                pieces = self._pieces(chunk)
            else:
                marks = _PIECE.finditer(plain, start, match.end())
                tokens += yield from collect((Token(mark.group(), *mark.span()) for mark in marks), _SLICE_PIECES)
                continue
            if not pieces:
                tokens.append(new_token(Token, (chunk, start, match.end(), False)))
            for piece, continues in pieces:
                end = start + len(piece)
                tokens.append(new_token(Token, (piece, start, end, continues)))
                start = end
        return tokens

    def _pieces(self, chunk: str) -> tuple[Piece, ...]:
        """Splits a chunk into its tokens: the string of each, and whether it continues the token before it.

        Returns none for a chunk of one token, the usual case, so that the cache only holds the chunk.
        """
        pieces = cut(chunk, self.rules) if chunk.isascii() else self._cut_around(chunk)
        if len(pieces) == 1:
            return ()
        return tuple((piece, i > 0 and self._continues(pieces[i - 1], piece, chunk)) for i, piece in enumerate(pieces))

    def _cut_around(self, chunk: str) -> list[str]:
        """Splits a chunk into the strings of its tokens; what stands alone is one, unless it is part of an address."""
        rules = self.rules
        parts = _ALONE.split(chunk)
        if len(parts) == 1 or rules.whole(chunk) or rules.address(chunk):
            return cut(chunk, rules)
        pieces: list[str] = []
        for i, part in enumerate(parts):
            pieces += [part] if i % 2 else cut(part, rules)
        return pieces

    def _continues(self, before: str, piece: str, chunk: str) -> bool:
        """Returns whether a piece is a clitic of the piece before it."""
        if not before[-1].isalnum():
            return False
        if _CLITIC.fullmatch(piece):
            return True
        if piece == "'":
            return chunk == before + piece and before[-1] in "sS"
        return piece.lower() in _BARE_CLITICS and before + piece in self.rules.exceptions


def cut(chunk: str, rules: Rules) -> list[str]:
    """Splits a chunk without spaces into the strings of its tokens, as spaCy's tokenizer does.

    Removes affixes from both ends until an exception, a whole or a chunk without affixes is left; infixes split that.
    """
    head: list[str] = []
    tail: list[str] = []
    for _ in range(_MOST_AFFIXES):
        if not chunk or chunk in rules.exceptions or rules.whole(chunk):
            break
        prefix = rules.prefix(chunk)
        at = prefix.end() if prefix else 0
        if at and chunk[at:] in rules.exceptions:
            head.append(chunk[:at])
            chunk = chunk[at:]
            break
        kept = _before_suffix(chunk, at, rules)
        if kept < len(chunk) and chunk[:kept] in rules.exceptions:
            at = 0
        elif not at and kept == len(chunk):
            break
        if at:
            head.append(chunk[:at])
        if kept < len(chunk):
            tail.append(chunk[kept:])
        chunk = chunk[at:kept]
    return [*head, *_middle(chunk, rules), *reversed(tail)]


def _before_suffix(chunk: str, at: int, rules: Rules) -> int:
    """Returns the start of the suffix of `chunk[at:]`, or the end if it has none."""
    start = max(at, len(chunk) - _SUFFIX_WINDOW)  # searching from the start each time would be quadratic
    suffix = rules.suffix(chunk[start:])
    if suffix and suffix.start() == 0 and start > at:  # a run longer than the window
        start, suffix = at, rules.suffix(chunk[at:])
    return start + suffix.start() if suffix else len(chunk)


def _middle(chunk: str, rules: Rules) -> list[str]:
    """Splits what remains without affixes."""
    if not chunk:
        return []
    if chunk in rules.exceptions:
        return list(rules.exceptions[chunk])
    if rules.whole(chunk) or rules.address(chunk):
        return [chunk]
    pieces: list[str] = []
    start = 0
    for infix in rules.infixes(chunk):
        at, end = infix.span()
        if at == 0:
            continue
        if at > start:
            pieces += rules.exceptions.get(chunk[start:at], (chunk[start:at],))
        if end > at:  # otherwise it marks a place to split at, such as that after the apostrophe of "l'eau"
            pieces.append(infix.group())
        start = end
    if start < len(chunk):
        pieces += rules.exceptions.get(chunk[start:], (chunk[start:],))
    return pieces


def group(
    tokens: Sequence[Token], ends: Sequence[int], words: Sequence[Sequence[Token]] | None = None
) -> Sliced[list[Sentence]]:
    """Returns the sentences that end before some indices of tokens; with `words`, those in place of each token."""

    def sentence(start: int, end: int) -> Sentence:
        members = tuple(tokens[start:end] if words is None else chain.from_iterable(words[start:end]))
        return Sentence(members[0].start, members[-1].end, members)

    return collect(starmap(sentence, pairwise([0, *ends])), _AT_ONCE)


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
