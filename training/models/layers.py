"""Functions that several networks share."""

from keras import ops

from service.text.vocabulary import PAD
from training.cells import Cell, Tensor
from training.cells.unroll import unroll_embedded


def valid_positions(ids: Tensor, lengths: Tensor) -> Tensor:
    """Returns whether each position is before the end of its row, bool, shape [B, T, 1]. ids: shape [B, T]."""
    return ops.expand_dims(ops.arange(ops.shape(ids)[1]) < ops.expand_dims(lengths, 1), 2)


def read_characters(cell: Cell, embedding: Tensor, char_ids: Tensor) -> Tensor:
    """Runs a bidirectional cell over the characters of each word and returns its last outputs.

    Args:
        embedding: of the characters, shape [V, I].
        char_ids: int32, shape [..., C]; PAD behind the last character.

    Returns:
        float32, shape [..., 2 H].
    """
    *places, width = ops.shape(char_ids)
    flat = ops.reshape(char_ids, (-1, width))
    lengths = ops.sum(ops.cast(flat != PAD, "int32"), axis=1)
    _, (last, *_) = unroll_embedded(cell, embedding, flat, lengths)
    return ops.reshape(ops.concatenate([last[0], last[1]], axis=-1), (*places, 2 * last.shape[-1]))
