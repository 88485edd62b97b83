"""Part-of-speech tagging: sentences of tokens to encoded entries, label ids back to tags."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from service.engine.padding import Array, Tensors
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


@dataclass(frozen=True, slots=True)
class Tag:
    """What the model says of a token. `confidence` is the probability of its UPOS tag."""

    upos: str
    xpos: str
    feats: dict[str, str]
    confidence: float


class Tagging:
    """Encodes sentences for one tagger, and decodes its outputs."""

    def __init__(self, version: ModelVersion, longest: int) -> None:
        self.version = version
        self._longest = longest
        labels = version.manifest.labels
        self._upos, self._xpos = labels["upos"], labels["xpos"]
        self._feats = tuple(parse_features(label) for label in labels["feats"])
        words, characters = version.vocabularies["words"], version.vocabularies["characters"]
        ((_, endpoint),) = version.manifest.endpoints.items()
        width = endpoint.inputs["char_ids"].axes[2]
        assert isinstance(width, int)  # noqa: S101 (the manifest is checked when it is loaded)

        @lru_cache(REMEMBERED_TOKENS)
        def encode(token: str) -> tuple[int, Array]:
            return words.id(token), encode_characters([token], characters, width)[0]

        self._encode = encode

    def encode(self, tokens: Sequence[str]) -> list[Tensors]:
        """Returns the inputs of one sentence, in as many windows as it needs: word_ids [T], char_ids [T, C]."""
        ids, characters = zip(*map(self._encode, tokens), strict=True)
        word_ids, char_ids = np.array(ids, np.int32), np.stack(characters)
        return [
            {"word_ids": word_ids[w.start : w.end], "char_ids": char_ids[w.start : w.end]}
            for w in windows(len(tokens), self._longest)
        ]

    def decode(self, length: int, outputs: Sequence[Tensors]) -> list[Tag]:
        """Returns the tags of a sentence of `length` tokens from the outputs of its windows."""
        tags: list[Tag] = []
        for window, output in zip(windows(length, self._longest), outputs, strict=True):
            kept = slice(window.keep_start - window.start, window.keep_end - window.start)
            columns = (output[name][kept].tolist() for name in ("upos_id", "xpos_id", "feats_id", "upos_probability"))
            for upos, xpos, feats, confidence in zip(*columns, strict=True):
                tags.append(Tag(self._upos[upos], self._xpos[xpos], self._feats[feats], round(confidence, 6)))
        return tags


def parse_features(label: str) -> dict[str, str]:
    """Reads CoNLL-U features, `Number=Sing|Person=3`, or `_` for none."""
    return dict(pair.split("=", 1) for pair in label.split("|")) if label != "_" else {}
