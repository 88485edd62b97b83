"""Splits text into sentences and tokens, by the rules of a language, corrected by what a treebank has taught.

spaCy's own loop stores every new word in its vocabulary, and its memory zones leak, so memory would grow with traffic;
and it is not thread-safe. Here chunks between spaces, whose tokens do not depend on the context, are split once and
cached in a bounded cache.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, chain, pairwise, starmap
from operator import itemgetter

from service.text.chunks import ChunkToken, tokens_by_rules
from service.text.english import CHUNK, Rules, treebank_rules
from service.text.interruptible import SENTENCES_AT_ONCE, Interruptible, collect, finish
from service.text.normalization import normalize_with_offsets, with_plain_quotes
from service.text.segmenter import Classifier, Segmenter, boundary_features, choice_features
from service.text.sentences import learned_ends, rule_ends
from service.text.tokens import SentenceSpan, TokenSpan, new_token

_CHARACTERS_AT_ONCE = 256
_BOUNDARIES_AT_ONCE = 32
_TOKENS_AT_ONCE = 128  # moved
_SENTENCES_AT_ONCE = 256  # made

# The cache of chunks takes 50 MB at most, with one token per character.
CACHED_CHUNKS = 16_384
CACHED_WORDS = 4096  # of multiword tokens
LONGEST_CACHED = 16  # characters

_NUMBERS_APART = re.compile(r"\d \d{3}")  # by a space: "26 000"


class Tokenizer:
    """Splits text by the rules of a language, by default those for English, and by a segmenter, if any. Thread-safe.

    Reads text in its normal form, with plain quotes; returns tokens with the offsets and characters of the text.
    Blank text has no sentences; no token is blank; tokens are in order. They do not overlap, except the words of a
    multiword token that have its offsets.
    """

    def __init__(self, rules: Rules | None = None, segmenter: Segmenter | None = None) -> None:
        self.rules = rules or treebank_rules()
        self._segmenter = segmenter = segmenter or Segmenter()
        self._has_multiwords = bool(segmenter.multiwords or segmenter.endings)
        self._longest = max(map(len, segmenter.abbreviations), default=0)
        self._cached_words = lru_cache(CACHED_WORDS)(segmenter.words_of)
        self._cached_split = lru_cache(CACHED_CHUNKS)(lambda chunk: finish(self._split_chunk(chunk)))

    def sentences(self, text: str) -> list[SentenceSpan]:
        """Splits a text into sentences of tokens, in one go."""
        return finish(self.split(text))

    def tokens(self, text: str) -> list[TokenSpan]:
        """Splits a text into tokens, in one go."""
        return finish(self.tokenize(text))

    def split(self, text: str) -> Interruptible[list[SentenceSpan]]:
        """Splits a text into sentences of tokens, interruptibly."""
        if text.isascii():
            return (yield from self._split_plain(text))
        plain, places = yield from _plain(text)
        sentences = yield from self._split_plain(plain)
        if plain == text:
            return sentences
        moved: list[SentenceSpan] = []
        for number, sentence in enumerate(sentences, start=1):
            if tokens := tuple((yield from _moved(sentence.tokens, plain, text, places))):
                moved.append(SentenceSpan(tokens[0].start, tokens[-1].end, tokens))
            if not number % SENTENCES_AT_ONCE:
                yield
        return moved

    def tokenize(self, text: str) -> Interruptible[list[TokenSpan]]:
        """Splits a text into tokens, interruptibly."""
        plain, places = yield from _plain(text)
        tokens = yield from self._tokenize_plain(plain)
        return tokens if plain == text else (yield from _moved(tokens, plain, text, places))

    def words(self, text: str) -> Interruptible[list[str]]:
        """Returns the normal forms of a text's tokens; mostly in half the time of `tokenize`."""
        normal = plain = text
        if not text.isascii():
            normal = (yield from normalize_with_offsets(text))[0]
            plain = with_plain_quotes(normal)
        if plain == normal and not self._has_multiwords:
            return (yield from self._words_of_plain(plain))
        tokens = yield from self._tokenize_plain(plain)
        return [normal[t.start : t.end] if t.text == plain[t.start : t.end] else t.text for t in tokens]

    def chunk(self, plain: str) -> re.Pattern[str]:
        """Returns the pattern of the chunks of a text in its normal form, which are split independently."""
        chunk = self.rules.chunk
        return chunk if chunk is CHUNK or _NUMBERS_APART.search(plain) else CHUNK

    def _split_plain(self, plain: str) -> Interruptible[list[SentenceSpan]]:
        """Splits a text in its normal form, with plain quotes, into sentences of tokens."""
        segmenter = self._segmenter
        tokens = yield from self._tokens_of_plain(plain)
        if segmenter.ends is None:
            ends = yield from rule_ends(plain, tokens)
        else:
            ends = yield from learned_ends(plain, tokens, segmenter.ends, segmenter.abbreviations)
        words = (yield from self._words_of(tokens)) if self._has_multiwords else None

        def sentence(start: int, end: int) -> SentenceSpan:
            members = tuple(tokens[start:end] if words is None else chain.from_iterable(words[start:end]))
            return SentenceSpan(members[0].start, members[-1].end, members)

        return (yield from collect(starmap(sentence, pairwise([0, *ends])), _SENTENCES_AT_ONCE))

    def _tokenize_plain(self, plain: str) -> Interruptible[list[TokenSpan]]:
        """Splits a text in its normal form, with plain quotes, into tokens."""
        tokens = yield from self._tokens_of_plain(plain)
        return list(chain.from_iterable((yield from self._words_of(tokens)))) if self._has_multiwords else tokens

    def _tokens_of_plain(self, plain: str) -> Interruptible[list[TokenSpan]]:
        """Splits a text in its normal form, with plain quotes, into tokens that are substrings of it."""
        tokens: list[TokenSpan] = []
        pause = _CHARACTERS_AT_ONCE
        pattern = self.chunk(plain)
        for match in pattern.finditer(plain):
            chunk = match.group()
            start = match.start()
            if start > pause:
                pause = start + _CHARACTERS_AT_ONCE
                yield
            split = self._cached_split(chunk) if len(chunk) <= LONGEST_CACHED else (yield from self._split_chunk(chunk))
            if not split:
                tokens.append(new_token(TokenSpan, (chunk, start, match.end(), False)))
            for form, continues in split:
                end = start + len(form)
                tokens.append(new_token(TokenSpan, (form, start, end, continues)))
                start = end
                if start > pause:
                    pause = start + _CHARACTERS_AT_ONCE
                    yield
        return tokens if pattern is CHUNK else [token for token in tokens if not token.text.isspace()]

    def _words_of_plain(self, plain: str) -> Interruptible[list[str]]:
        """Returns the tokens of a text in its normal form, with plain quotes, which are substrings of it."""
        words: list[str] = []
        size, pause = 0, _CHARACTERS_AT_ONCE
        pattern = self.chunk(plain)
        for chunk in plain.split() if pattern is CHUNK else pattern.findall(plain):
            split = self._cached_split(chunk) if len(chunk) <= LONGEST_CACHED else (yield from self._split_chunk(chunk))
            if split:
                words += map(itemgetter(0), split)
            else:
                words.append(chunk)
            size += len(chunk)
            if size > pause:
                pause = size + _CHARACTERS_AT_ONCE
                yield
        return words if pattern is CHUNK else [word for word in words if not word.isspace()]

    def _split_chunk(self, chunk: str) -> Interruptible[tuple[ChunkToken, ...]]:
        """Splits a chunk into its tokens.

        Returns none for a chunk of one token, the usual case, so that the cache only holds the chunk.
        """
        boundaries = self._segmenter.boundaries
        if boundaries is not None and (len(chunk) == 1 or self._abbreviates(chunk)):
            return ()
        tokens = yield from tokens_by_rules(chunk, self.rules)
        if boundaries is not None:
            ruled = frozenset(accumulate(len(token) for token, _ in tokens))
            tokens = yield from self._split_as_learned(chunk, ruled, boundaries)
        return tuple(tokens) if len(tokens) > 1 else ()

    def _split_as_learned(
        self, chunk: str, ruled: frozenset[int], boundaries: Classifier
    ) -> Interruptible[list[ChunkToken]]:
        """Splits a chunk as a classifier decides, which knows the boundaries of the rules."""
        continuations = self._segmenter.continuations
        tokens: list[ChunkToken] = []
        start, continues = 0, False
        for i, features in enumerate(boundary_features(chunk, ruled), start=1):
            spaced = chunk[i - 1].isspace() or chunk[i : i + 1].isspace()  # in a number
            whole = chunk[i] == "." and i - start < self._longest and self._abbreviates(chunk[start : i + 1])
            if not (spaced or whole) and boundaries.accepts(features):
                tokens.append((chunk[start:i], continues))
                start, continues = i, continuations is not None and continuations.accepts(features)
            if not i % _BOUNDARIES_AT_ONCE:
                yield
        return [*tokens, (chunk[start:], continues)]

    def _abbreviates(self, text: str) -> bool:
        """Returns whether a text is an abbreviation that keeps its full stop."""
        return len(text) <= self._longest and text.lower() in self._segmenter.abbreviations

    def _words_of(self, tokens: Sequence[TokenSpan]) -> Interruptible[list[tuple[TokenSpan, ...]]]:
        """Returns the words of each token: of a multiword token several, of any other token the token itself."""
        choices = self._segmenter.choices
        words: list[tuple[TokenSpan, ...]] = []
        for i, token in enumerate(tokens):
            known = len(token.text) <= LONGEST_CACHED
            own = self._cached_words(token.text) if known else self._segmenter.words_of(token.text)
            choice = choices.get(token.text.lower()) if own else None
            if own is None or not (choice is None or choice.accepts(choice_features(tokens, i))):
                words.append((token,))
            else:
                forms = enumerate(in_case_of(token.text, own))
                words.append(tuple(TokenSpan(f, token.start, token.end, n > 0 or token.continues) for n, f in forms))
            if not (i + 1) % _CHARACTERS_AT_ONCE:
                yield
        return words


def _plain(text: str) -> Interruptible[tuple[str, Sequence[int]]]:
    """Returns the normal form of a text with plain quotes, and the offset in the text of each character and the end."""
    normal, places = yield from normalize_with_offsets(text)
    return with_plain_quotes(normal), places or range(len(text) + 1)


def _moved(tokens: Sequence[TokenSpan], plain: str, text: str, places: Sequence[int]) -> Interruptible[list[TokenSpan]]:
    """Moves tokens of the normal form of a text to the text; `places` has the offset of each of its characters.

    A token that is part of a character there is left out.
    """
    moved: list[TokenSpan] = []
    for number, token in enumerate(tokens, start=1):
        start, end = places[token.start], places[token.end]
        if start < end:
            is_substring = token.text == plain[token.start : token.end]
            form = text[start:end] if is_substring else token.text
            moved.append(TokenSpan(form, start, end, token.continues and bool(moved)))
        if not number % _TOKENS_AT_ONCE:
            yield
    return moved


def in_case_of(token: str, words: Sequence[str]) -> Sequence[str]:
    """Returns a token's words with its capital letters: "De", "le" for "Du"; "DE", "LE" for "DU"."""
    if not token[0].isupper():
        return words
    if len(token) > 1 and token.isupper():
        return [word.upper() for word in words]
    return [words[0][:1].upper() + words[0][1:], *words[1:]]
