"""Part-of-speech tagging: sentences of tokens to encoded entries, label ids back to tags."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from service.engine.padding import Tensors
from service.registry import ModelVersion
from service.text.encoding import encode_characters

OVERLAP = 32
REMEMBERED_TOKENS = 65_536


class Window(NamedTuple):
    """A piece [start, end) of a long sentence, of which the tags of [keep_start, keep_end) are used."""

    start: int
    end: int
    keep_start: int
    keep_end: int


def windows(length: int, longest: int) -> list[Window]:
    """Covers a sentence of `length` tokens with windows of at most `longest`.

    Neighbours overlap; the seam lies in the middle of the overlap, so a token is tagged with context on both sides.
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


class Tag(NamedTuple):
    """What the model says of a token. `confidence` is the probability of its UPOS tag."""

    upos: str
    xpos: str
    feats: dict[str, str]
    confidence: float


class Candidate(NamedTuple):
    """A label of a head and its probability."""

    tag: str
    probability: float


class Tagging:
    """Encodes sentences for one tagger, and decodes its outputs."""

    def __init__(self, version: ModelVersion, longest: int) -> None:
        self.version = version
        self.longest = longest
        labels = self._labels = version.manifest.labels
        self._upos, self._xpos = labels["upos"], labels["xpos"]
        self._feats = tuple(parse_features(label) for label in labels["feats"])
        words, characters = version.vocabularies["words"], version.vocabularies["characters"]
        width = version.manifest.endpoint.inputs["char_ids"].axes[2]
        assert isinstance(width, int)  # noqa: S101 (the manifest is checked when it is loaded)

        @lru_cache(REMEMBERED_TOKENS)
        def encode(token: str) -> tuple[int, bytes]:
            return words.id(token), encode_characters([token], characters, width).tobytes()

        self._encode = encode
        self._width = width

    def encode(self, tokens: Sequence[str]) -> list[Tensors]:
        """Returns the inputs of one sentence, in as many windows as it needs: word_ids [T], char_ids [T, C]."""
        ids, characters = zip(*map(self._encode, tokens), strict=True)
        word_ids = np.array(ids, np.int32)
        char_ids = np.frombuffer(b"".join(characters), np.int32).reshape(-1, self._width)
        return [
            {"word_ids": word_ids[w.start : w.end], "char_ids": char_ids[w.start : w.end]}
            for w in windows(len(tokens), self.longest)
        ]

    def decode(self, length: int, outputs: Sequence[Tensors]) -> list[Tag]:
        """Returns the tags of a sentence of `length` tokens from the outputs of its windows."""
        tags: list[Tag] = []
        for window, output in zip(windows(length, self.longest), outputs, strict=True):
            kept = slice(window.keep_start - window.start, window.keep_end - window.start)
            upos, xpos, feats = (output[name][kept].tolist() for name in ("upos_id", "xpos_id", "feats_id"))
            confidences = output["upos_probability"][kept].astype(float).round(6).tolist()
            tags += map(
                Tag,
                map(self._upos.__getitem__, upos),
                map(self._xpos.__getitem__, xpos),
                map(self._feats.__getitem__, feats),
                confidences,
            )
        return tags

    def candidates(self, length: int, outputs: Sequence[Tensors], count: int) -> list[dict[str, list[Candidate]]]:
        """Returns the most probable labels of each head for each token, at most `count`, the first the answer.

        `outputs` hold the probabilities of the heads, which are further outputs of the engine.
        """
        tokens: list[dict[str, list[Candidate]]] = [{} for _ in range(length)]
        for head in self.version.manifest.heads:
            for window, output in zip(windows(length, self.longest), outputs, strict=True):
                kept = slice(window.keep_start - window.start, window.keep_end - window.start)
                probabilities = output[head][kept]  # [T, K]
                best = np.argsort(-probabilities, axis=-1, kind="stable")[:, :count]
                values = np.take_along_axis(probabilities, best, axis=-1).astype(float).round(6)
                for token, ids, some in zip(tokens[window.keep_start :], best.tolist(), values.tolist(), strict=False):
                    tags = map(self._labels[head].__getitem__, ids)
                    token[head] = list(map(Candidate, tags, some))
        return tokens


def parse_features(label: str) -> dict[str, str]:
    """Reads CoNLL-U features, `Number=Sing|Person=3`, or `_` for none."""
    return dict(pair.split("=", 1) for pair in label.split("|")) if label != "_" else {}
