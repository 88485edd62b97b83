"""Pads the weights of a tagger to sizes that taggers of its architecture have in common.

What XLA compiles depends on the shapes of weights, and not on their values: a service that has compiled the step of one
tagger runs all others of the same shapes with it.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from service.text.lemmatizer import LEMMA
from training.models.tagger import Tagger

WORDS, CHARACTERS = 20_480, 256  # ids of vocabularies
LABELS = {"upos": 18, "feats": 357, LEMMA: 392}  # with one of XPOS 768, a multiple for SIMD
LONGEST = 160  # words of a sentence; a longer one is read in windows
PADDING = -np.inf  # the bias of a label that is none


def most_frequent(labels: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Returns the labels of each head that fit the common sizes. labels: the most frequent first."""
    return {head: names[: LABELS.get(head)] for head, names in labels.items()}


def common_labels(labels: Mapping[str, int]) -> dict[str, int]:
    """Returns the number of labels of each head, with padding."""
    return {head: max(size, LABELS.get(head, size)) for head, size in labels.items()}


def common_buckets(buckets: Sequence[int]) -> tuple[int, ...]:
    """Returns length buckets; the last, the longest sentence that a step reads, is LONGEST."""
    return (*(bucket for bucket in buckets[:-1] if bucket < LONGEST), LONGEST)


def padded(model: Tagger) -> Tagger:
    """Returns a tagger of the common sizes that gives the same labels, and all others the probability 0.

    A model that is larger in one size keeps that size. Raises ValueError for one with a linear model or a lexicon,
    whose tables belong to its labels.
    """
    if model.linear or model.classes:
        raise ValueError("a tagger with a linear model or a lexicon has sizes of its own")
    words, characters = model.word_embedding.input_dim, model.character_embedding.shape[0]
    labels = common_labels({name: head.units for name, head in model.heads.items()})
    wide = Tagger(max(words, WORDS), max(characters, CHARACTERS), labels, model.sizes)
    if model.word_embedding.quantization_mode:
        for table in wide.tables:
            table.quantize("int8")
    if model.rounded:
        wide.round_weights()
    for own, other in zip(model.weights, wide.weights, strict=True):
        more = [(0, size - few) for size, few in zip(other.shape, own.shape, strict=True)]
        other.assign(np.pad(own.numpy(), more))
    for name, head in wide.heads.items():
        head.bias.assign(np.where(np.arange(head.units) < model.heads[name].units, head.bias.numpy(), PADDING))
    return wide
