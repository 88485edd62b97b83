"""Part-of-speech tagging: encodes tokens as ids, decodes label ids to tags and lemmas."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, pairwise, repeat
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from service.artifact.manifest import ModelVersion
from service.text.conllu import NO_FEATURES, parse_features
from service.text.english import READ_AS
from service.text.interruptible import SENTENCES_AT_ONCE, Interruptible, collect, finish
from service.text.languages import ENGLISH
from service.text.lemmatizer import LEMMA, MOST_ODDS, NEXT_RULES, ODDS_LIMITS, finer_column
from service.text.normalization import normalize
from service.text.symbols import is_symbol
from service.text.tokenizer import Tokenizer
from service.text.tokens import TokenSpan
from service.text.vocabulary import encode_characters
from service.types import Array, Ragged, Tensors

if TYPE_CHECKING:
    from service.tasks.dictionary import Dictionary

SYMBOL = "SYM"  # the UPOS of emoji and currencies
TOKENS_AT_ONCE = 64  # encoded
FREQUENT_WORDS = 4096  # of English text 85 %; a processor tags them in a second
CACHED_TOKENS = 32_768  # at most 20 MB if the model reads 12 characters of each
CACHED_LEMMAS = 10_000  # of the dictionary, and as many of rules: at most 14 MB
LONGEST_CACHED = 32  # characters
OVERLAP = 32  # tokens of adjacent windows of a long sentence
text_of = attrgetter("text")  # of a token


class Tag(NamedTuple):
    """A token's tags. `confidence` is the probability of the UPOS tag; `lemma` is None if lemmas are not wanted."""

    upos: str
    xpos: str
    feats: dict[str, str]
    confidence: float
    lemma: str | None = None


@dataclass(frozen=True, slots=True)
class Candidates:
    """The most probable labels of a sentence's tokens, best first: head -> ids, probabilities  # [T, N]."""

    labels: Mapping[str, Sequence[str]]
    heads: Mapping[str, tuple[Array, Array]]

    def of(self, some: slice, count: int) -> list[dict[str, list[dict[str, Any]]]]:
        """Returns at most `count` candidates for each of some tokens, in the form of `answer_schemas.NBest`."""
        length = len(next(iter(self.heads.values()))[0][some])
        tokens: list[dict[str, list[dict[str, Any]]]] = [{} for _ in range(length)]
        for head, (ids, probabilities) in self.heads.items():
            labels = self.labels[head]
            rows = ids[some, :count].tolist()
            values = probabilities[some, :count].astype(float).round(6).tolist()
            for token, row, best in zip(tokens, rows, values, strict=True):
                token[head] = [{"tag": labels[id], "probability": p} for id, p in zip(row, best, strict=True)]
        return tokens


class Tagging:
    """Encodes sentences for a tagger, and decodes its outputs.

    Attributes:
        candidate_outputs: outputs to request from the engine for `candidates`.
        cut: sentences that were encoded in windows; its reader sets it to 0.
        dictionary: what replaces tags of words, if there is one.
    """

    dictionary: "Dictionary | None" = None

    def __init__(self, version: ModelVersion, longest: int) -> None:
        self.version = version
        self.longest = longest
        self.cut = 0
        labels = self._labels = version.manifest.labels
        self._upos, self._xpos = labels["upos"], labels["xpos"]
        self._feats = tuple(parse_features(label) for label in labels["feats"])
        words, characters = version.vocabularies["words"], version.vocabularies["characters"]
        width = version.manifest.endpoint.inputs["char_ids"].axes[2]
        assert isinstance(width, int)  # noqa: S101 (checked when the manifest is loaded)

        def encode(token: str) -> bytes:
            """Returns the ids of a token and of its characters  # [1 + C] int32."""
            token = self._read_as(token)
            return np.int32(words.id(token)).tobytes() + encode_characters([token], characters, width).tobytes()

        self._stands_for = READ_AS if version.manifest.tokenizer in (None, ENGLISH) else {}
        self._encode = encode
        self._cells = 1 + width  # int32 values per token
        self._cached_encode = lru_cache(CACHED_TOKENS)(encode)
        self._candidates = {h: names for h, names in version.manifest.candidate_outputs.items() if h != LEMMA}
        self.candidate_outputs = frozenset(chain.from_iterable(self._candidates.values()))
        self._finer = finer_column(labels)
        self._cached_lemma = lru_cache(CACHED_LEMMAS)(self._lemma)
        self._cached_choice = lru_cache(CACHED_LEMMAS)(self._choice)

    def warm_up(self, tokenizer: Tokenizer, infer: Callable[[Ragged], Tensors]) -> Iterator[None]:
        """Tags the most frequent words that the model has learned, so that caches have them; yields after some words.

        infer: runs one sequence.
        """
        words = self.version.vocabularies["words"].entries[:FREQUENT_WORDS]
        for start in range(0, len(words), self.longest):
            sentences = tokenizer.sentences(" ".join(words[start : start + self.longest]))
            tokens = list(chain.from_iterable(sentence.tokens for sentence in sentences))[: self.longest]
            if tokens:
                outputs = infer(finish(self.encode([list(map(text_of, tokens))])))
                finish(self.decode([tokens], outputs, lemmas=True))
            yield

    def encode(self, sentences: Iterable[Sequence[str]]) -> Interruptible[Ragged]:
        """Returns the inputs of sentences: word_ids [T], char_ids [T, C]; long sentences in windows."""
        cached, uncached, longest = self._cached_encode, self._encode, self.longest
        rows: list[bytes] = []
        lengths: list[int] = []
        done = 0  # tokens since the last yield
        for tokens in sentences:
            first = len(rows)
            for start in range(0, len(tokens), TOKENS_AT_ONCE):
                if done >= TOKENS_AT_ONCE:
                    yield
                    done = 0
                some = tokens[start : start + TOKENS_AT_ONCE]
                if max(map(len, some)) <= LONGEST_CACHED:
                    rows += map(cached, some)
                else:
                    rows += [cached(token) if len(token) <= LONGEST_CACHED else uncached(token) for token in some]
                done += len(some)
            if len(tokens) <= longest:
                lengths.append(len(tokens))
                continue
            self.cut += 1
            sentence = rows[first:]
            del rows[first:]
            for window in windows(len(sentence), longest):
                rows += sentence[window.start : window.end]
                lengths.append(window.end - window.start)
        if len(rows) > TOKENS_AT_ONCE:
            yield
        cells = np.frombuffer(b"".join(rows), np.int32).reshape(len(rows), self._cells)
        return Ragged(np.array(lengths, np.int32), {"word_ids": cells[:, 0], "char_ids": cells[:, 1:]})

    def decode(
        self, sentences: Sequence[Sequence[TokenSpan]], outputs: Tensors, *, lemmas: bool
    ) -> Interruptible[list[list[Tag]]]:
        """Decodes the concatenated outputs of all windows to the tags of sentences, with lemmas if they are wanted."""
        found: list[list[Tag]] = []
        if not outputs:  # there is no sentence
            return found
        confidences = outputs["upos_probability"].astype(float).round(6)
        if len(confidences) > TOKENS_AT_ONCE:
            yield
        rules: Sequence[Array] = ()  # the odds of each token's best lemma rule, and the ids of its rules: [tokens] each
        if lemmas and self.version.lemmatizer is not None:
            odds = ODDS_LIMITS.searchsorted(outputs[f"{LEMMA}_probability"]) - MOST_ODDS
            rules = [odds, *map(outputs.__getitem__, (f"{LEMMA}_id", *NEXT_RULES))]
        for tokens, kept in zip(sentences, kept_of(map(len, sentences), self.longest), strict=True):
            tags: list[Tag] = []
            for some in kept:
                if tags:
                    yield
                upos, xpos, feats = (outputs[name][some].tolist() for name in ("upos_id", "xpos_id", "feats_id"))
                lemma_column: Iterable[str | None] = repeat(None)
                if rules:
                    forms = list(map(text_of, tokens[len(tags) : len(tags) + len(upos)]))
                    finer = feats if self._finer == "feats" else xpos
                    lemma_column = self._lemmas(forms, upos, finer, rules, some.start)
                columns = zip(
                    map(self._upos.__getitem__, upos),
                    map(self._xpos.__getitem__, xpos),
                    map(self._feats.__getitem__, feats),
                    confidences[some].tolist(),
                    lemma_column,
                    strict=False,
                )
                tags += map(tuple.__new__, repeat(Tag), columns)  # a tenth of the time of Tag()
            found.append(tags)
            if not len(found) % SENTENCES_AT_ONCE:
                yield
        return found

    def _lemmas(
        self, forms: Sequence[str], upos: Sequence[int], finer: Sequence[int], rules: Sequence[Array], start: int
    ) -> list[str]:
        """Returns the lemmas of forms: by the dictionary and the ids of their tags, or by rules where it lacks a form.

        rules: of all tokens. start: the first form's place among them.
        """
        cached = self._cached_lemma
        if max(map(len, forms), default=0) <= LONGEST_CACHED:
            found = list(map(cached, forms, upos, finer))
        else:
            rows = zip(forms, upos, finer, strict=True)
            found = [(cached if len(form) <= LONGEST_CACHED else self._lemma)(form, *ids) for form, *ids in rows]
        if None in found:
            for i, (form, lemma) in enumerate(zip(forms, found, strict=True)):
                if lemma is None:
                    choice = self._cached_choice if len(form) <= LONGEST_CACHED else self._choice
                    found[i] = choice(form, upos[i], *[int(values[start + i]) for values in rules])
        return cast(list[str], found)

    def _lemma(self, form: str, upos: int, finer: int) -> str | None:
        """Returns the lemma of a form by the ids of its tags; None if the dictionary lacks it with these."""
        assert self.version.lemmatizer  # noqa: S101 (the caller has checked)
        return self.version.lemmatizer.find(self._read_as(form), self._upos[upos], self._labels[self._finer][finer])

    def _choice(self, form: str, upos: int, odds: int, *rules: int) -> str:
        """Returns the lemma of a form that the dictionary lacks, by the ids of its UPOS and its rules."""
        assert self.version.lemmatizer  # noqa: S101 (the caller has checked)
        return self.version.lemmatizer.choose(self._read_as(form), self._upos[upos], rules, odds)

    def _read_as(self, form: str) -> str:
        """Returns the word that the model reads in place of a form that its treebank lacks."""
        return self._stands_for.get(normalize(form).lower(), form)

    def with_symbols(self, sentences: Sequence[Sequence[TokenSpan]], outputs: Tensors) -> Interruptible[Tensors]:
        """Returns the outputs of all windows with emoji and signs of currencies as symbols without features.

        They are that in Universal Dependencies; no treebank has more than a few, so the network does not know them.
        """
        if SYMBOL not in self._upos:
            return outputs
        cells: list[int] = []
        all_kept = kept_of(map(len, sentences), self.longest)
        for number, (tokens, kept) in enumerate(zip(sentences, all_kept, strict=True), start=1):
            places = chain.from_iterable(range(some.start, some.stop) for some in kept)
            texts = map(text_of, tokens)
            cells += [cell for cell, text in zip(places, texts, strict=True) if not text.isascii() and is_symbol(text)]
            if not number % SENTENCES_AT_ONCE:
                yield
        if not cells:
            return outputs
        changed = {**outputs, **self._certain(outputs, "upos", self._upos.index(SYMBOL), cells)}
        if NO_FEATURES in self._labels["feats"]:
            changed |= self._certain(outputs, "feats", self._labels["feats"].index(NO_FEATURES), cells)
        return changed

    def _certain(self, outputs: Tensors, head: str, label: int, cells: Sequence[int]) -> Tensors:
        """Returns the outputs of a head with a label that is certain in some cells, the first of the candidates."""
        changed = {}
        for name, value in ((f"{head}_id", label), (f"{head}_probability", 1.0)):
            if name in outputs:
                changed[name] = outputs[name].copy()
                changed[name][cells] = value
        ids, probabilities = self._candidates.get(head, ("", ""))
        if ids in outputs:
            rest = [[label, *(id for id in row if id != label)] for row in outputs[ids][cells].tolist()]
            changed |= {ids: outputs[ids].copy(), probabilities: outputs[probabilities].copy()}
            changed[ids][cells] = [row[: outputs[ids].shape[1]] for row in rest]
            changed[probabilities][cells] = np.eye(1, outputs[ids].shape[1])
        return changed

    def candidates(self, lengths: Iterable[int], outputs: Tensors) -> Interruptible[list[Candidates]]:
        """Decodes the most probable labels of sentences' tokens. `outputs` include `candidate_outputs`."""

        def candidates_of(kept: Sequence[slice]) -> Candidates:
            own = {name: np.concatenate([outputs[name][some] for some in kept]) for name in self.candidate_outputs}
            heads = {head: (own[ids], own[probabilities]) for head, (ids, probabilities) in self._candidates.items()}
            return Candidates(self._labels, heads)

        return (yield from collect(map(candidates_of, kept_of(lengths, self.longest)), SENTENCES_AT_ONCE))


class Window(NamedTuple):
    """The tokens [start, end) of a long sentence; the tags of [keep_start, keep_end) are used."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def windows(length: int, longest: int) -> list[Window]:
    """Covers a sentence of `length` tokens with windows of at most `longest`.

    Windows overlap, and the tags change over in the middle of an overlap, so each token has context on both sides.
    """
    if length <= longest:
        return [Window(0, length, 0, length)]
    overlap = min(OVERLAP, longest // 2)
    starts = [*range(0, length - longest, longest - overlap), length - longest]
    seams = [(left + longest + right) // 2 for left, right in pairwise(starts)]
    return [
        Window(start, start + longest, keep_start, keep_end)
        for start, keep_start, keep_end in zip(starts, [0, *seams], [*seams, length], strict=True)
    ]


def kept_of(lengths: Iterable[int], longest: int) -> Iterator[list[slice]]:
    """Yields for each sentence the slices of its used tags among the cells of all windows of all sentences."""
    start = 0  # of the window
    for length in lengths:
        if length <= longest:
            yield [slice(start, start + length)]
            start += length
            continue
        kept = []
        for window in windows(length, longest):
            kept.append(slice(start + window.keep_start - window.start, start + window.keep_end - window.start))
            start += window.end - window.start
        yield kept
