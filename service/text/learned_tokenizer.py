"""Splits text by the rules of a language, corrected by a segmenter that was trained on a treebank."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import chain

from service.text.segmenter import Classifier, PossibleEnds, Segmenter, boundary_features, choice_features
from service.text.slices import Sliced, finish
from service.text.spacy_tokenizer import SpacyTokenizer, group, rule_ends
from service.text.tokenizer import BLANK_LINE, Sentence, Token, Tokenizer, new_token

_SLICE_BOUNDARIES = 32
_SLICE_TOKENS = 32
_SLICE_CHARACTERS = 256

# The cache takes 12 MB at most, with a token for each character.
CACHED_CHUNKS = 4096
LONGEST_CACHED = 16  # characters

_OPENING, _CLOSING = "«»"

Pieces = tuple[tuple[str, bool], ...]  # each with whether it continues the one before it


class LearnedTokenizer(Tokenizer):
    """Splits text by the rules of a language and a segmenter. Thread-safe."""

    def __init__(self, rules: SpacyTokenizer, segmenter: Segmenter) -> None:
        self._rules = rules
        self._segmenter = segmenter
        self._longest = max(map(len, segmenter.abbreviations), default=0)
        self._cached_words = lru_cache(CACHED_CHUNKS)(segmenter.words_of)
        self._cached_pieces = lru_cache(CACHED_CHUNKS)(lambda chunk: finish(self._pieces(chunk)))

    def tokenize_plain(self, plain: str) -> Sliced[list[Token]]:
        pieces = yield from self.pieces(plain)
        return list(chain.from_iterable((yield from self._words_of(pieces))))

    def split_plain(self, plain: str) -> Sliced[list[Sentence]]:
        pieces = yield from self.pieces(plain)
        segmenter = self._segmenter
        if segmenter.ends is None:
            ends = yield from rule_ends(plain, pieces)
        else:
            ends = yield from learned_ends(plain, pieces, segmenter.ends, segmenter.abbreviations)
        words = (yield from self._words_of(pieces)) if segmenter.multiwords or segmenter.endings else None
        return (yield from group(pieces, ends, words))

    def pieces(self, plain: str) -> Sliced[list[Token]]:
        """Splits a text in its normal form into tokens that are parts of it, in slices."""
        if self._segmenter.boundaries is None:
            return (yield from self._rules.tokenize_plain(plain))
        tokens: list[Token] = []
        pause = _SLICE_CHARACTERS
        for match in self._rules.chunk(plain).finditer(plain):
            chunk, start = match.group(), match.start()
            if start > pause:
                pause = start + _SLICE_CHARACTERS
                yield
            if len(chunk) <= LONGEST_CACHED:
                pieces = self._cached_pieces(chunk)
            else:
                pieces = yield from self._pieces(chunk)
            for piece, continues in pieces:
                end = start + len(piece)
                tokens.append(new_token(Token, (piece, start, end, continues)))
                start = end
        return tokens

    def _pieces(self, chunk: str) -> Sliced[Pieces]:
        if len(chunk) == 1 or self._abbreviates(chunk):
            return ((chunk, False),)
        ruled = frozenset(token.start for token in (yield from self._rules.tokenize_plain(chunk)))
        pieces: list[tuple[str, bool]] = []
        start, continues = 0, False
        boundaries, continuations = self._segmenter.boundaries, self._segmenter.continuations
        for i, features in enumerate(boundary_features(chunk, ruled), start=1):
            spaced = chunk[i - 1].isspace() or chunk[i : i + 1].isspace()  # in a number
            whole = chunk[i] == "." and i - start < self._longest and self._abbreviates(chunk[start : i + 1])
            if boundaries is not None and not (spaced or whole) and boundaries.accepts(features):
                pieces.append((chunk[start:i], continues))
                start, continues = i, continuations is not None and continuations.accepts(features)
            if not i % _SLICE_BOUNDARIES:
                yield
        return (*pieces, (chunk[start:], continues))

    def _abbreviates(self, text: str) -> bool:
        """Returns whether a text is an abbreviation that keeps its full stop."""
        return len(text) <= self._longest and text.lower() in self._segmenter.abbreviations

    def _words_of(self, pieces: Sequence[Token]) -> Sliced[list[tuple[Token, ...]]]:
        """Returns the words of each piece: of a multiword token several, of any other piece the piece itself."""
        choices = self._segmenter.choices
        words: list[tuple[Token, ...]] = []
        for i, piece in enumerate(pieces):
            known = len(piece.text) <= LONGEST_CACHED
            parts = self._cached_words(piece.text) if known else self._segmenter.words_of(piece.text)
            choice = choices.get(piece.text.lower()) if parts else None
            if parts is None or not (choice is None or choice.accepts(choice_features(pieces, i))):
                words.append((piece,))
            else:
                forms = enumerate(in_case_of(piece.text, parts))
                words.append(tuple(Token(f, piece.start, piece.end, n > 0 or piece.continues) for n, f in forms))
            if not (i + 1) % _SLICE_CHARACTERS:
                yield
        return words


def learned_ends(
    text: str, tokens: Sequence[Token], classifier: Classifier, abbreviations: Mapping[str, bool]
) -> Sliced[list[int]]:
    """Returns the index after the last token of each sentence, as a classifier decides; see `Segmenter`."""
    ruled = set((yield from rule_ends(text, tokens)))
    if len(tokens) > _SLICE_TOKENS:
        yield
    possible = PossibleEnds(text, tokens, ruled)
    closing = _closing_guillemets(tokens) if _CLOSING in text else ()
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
        if not number % _SLICE_TOKENS:
            yield
    return [*ends, len(tokens)] if tokens else []


def _closing_guillemets(tokens: Sequence[Token]) -> set[int]:
    """Returns the indices of guillemets that close a quotation behind a space, as in French: "« Oui. »"."""
    found: set[int] = set()
    opened = False
    for i, token in enumerate(tokens):
        if token[0] == _CLOSING and opened and token[1] > tokens[i - 1][2]:
            found.add(i)
        opened = token[0] == _OPENING or (opened and token[0] != _CLOSING)
    return found


def in_case_of(token: str, words: Sequence[str]) -> Sequence[str]:
    """Returns a token's words with its capital letters: "De", "le" for "Du"; "DE", "LE" for "DU"."""
    if not token[0].isupper():
        return words
    if len(token) > 1 and token.isupper():
        return [word.upper() for word in words]
    return [words[0][:1].upper() + words[0][1:], *words[1:]]
