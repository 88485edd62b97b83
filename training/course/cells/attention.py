"""Attention over the outputs of an encoder, as a cell."""

import keras
from keras import ops

from training.cells import MASKED_LOGIT, BasicCell, Cell, State, Tensor


class Attention(keras.layers.Layer):  # type: ignore[misc]
    """Global attention with input feeding (Luong et al. 2015, sections 3.1 and 3.3), around a cell of one direction.

        h' = step(x + F a, h)            e_t = h' · K m_t            w = softmax(e)
        c = Σ w_t m_t                    a' = tanh(A [c; h'])

    m_1, m_2, … is the memory, such as an encoder's outputs. The attentional state a is the output and an input of the
    next step, so that a step depends on what the steps before it attended to.

    Args:
        cell: the recurrence, with an output of width H.
        memory_size: M, width of the memory.
    """

    def __init__(self, cell: BasicCell, memory_size: int) -> None:
        super().__init__()
        if cell.directions != 1:
            raise ValueError("attention needs a cell of one direction")
        width = cell.state_sizes[0]
        self.cell = cell
        self.feed = self.add_weight(shape=(width, cell.gates * cell.units), name="feed")
        self.key = self.add_weight(shape=(memory_size, width), name="key")
        self.combine = self.add_weight(shape=(memory_size + width, width), name="combine")
        self.built = True

    def over(self, memory: Tensor, lengths: Tensor, keys: Tensor | None = None) -> "Attending":
        """Returns the cell that attends to a memory.

        Args:
            memory: shape [B, T, M].
            lengths: valid positions of each row, int32, shape [B].
            keys: the product of the memory and `key` if it has been computed, shape [B, T, H].
        """
        return Attending(self, memory, lengths, keys)


class Attending(Cell):
    """An attention with its memory, as a cell. States: a, shape [1, B, H], then those of the inner cell."""

    directions = 1

    def __init__(self, attention: Attention, memory: Tensor, lengths: Tensor, keys: Tensor | None = None) -> None:
        super().__init__()
        self._attention = attention
        self._memory = memory
        self._keys = ops.matmul(memory, attention.key) if keys is None else keys  # [B, T, H]
        valid = ops.arange(ops.shape(memory)[1], dtype="int32") < ops.reshape(lengths, (-1, 1))  # [B, T]
        self._mask = ops.cast(ops.where(valid, 0.0, MASKED_LOGIT), memory.dtype)

    @property
    def state_sizes(self) -> tuple[int, ...]:
        sizes = self._attention.cell.state_sizes
        return (sizes[0], *sizes)

    def project(self, inputs: Tensor, direction: int) -> Tensor:
        return self._attention.cell.project(inputs, direction)

    def step(self, x: Tensor, state: State) -> State:
        attention = self._attention
        fed = x + ops.matmul(state[0], attention.feed)
        after = attention.cell.step(fed, state[1:])
        weights = ops.expand_dims(self.weights_of(after), 1)  # [B, 1, T]
        context = ops.transpose(ops.matmul(weights, self._memory), (1, 0, 2))  # [1, B, M]
        seen = ops.concatenate([context, after[0]], axis=-1)
        return (ops.tanh(ops.matmul(seen, attention.combine)), *after)

    def weights_of(self, inner: State) -> Tensor:
        """Returns the attention weights of an inner cell's state, which sum to 1, shape [B, T]."""
        query = ops.transpose(inner[0], (1, 2, 0))  # [B, H, 1]
        scores = ops.squeeze(ops.matmul(self._keys, query), -1)
        return ops.softmax(scores + self._mask, axis=-1)
