"""A cell that looks back at what an encoder wrote down."""

import keras
from keras import ops

from training.cells.base import BasicCell, Cell, State, Tensor

HIDDEN = -1e9  # the score of padding: its weight is 0


class Attention(keras.layers.Layer):  # type: ignore[misc]
    """Global attention with input feeding (Luong et al. 2015, sections 3.1 and 3.3), around a cell of one direction.

        h' = step(x + F a, h)            e_t = h' · K m_t            w = softmax(e)
        c = Σ w_t m_t                    a' = tanh(A [c; h'])

    m_1, m_2, … is the memory, such as an encoder's outputs. The attentional state a is the output, and goes back in at
    the next step, so that the cell knows what it has looked at already.

    Args:
        cell: of the recurrence, its output H wide.
        memory_size: M, width of the memory.
    """

    def __init__(self, cell: BasicCell, memory_size: int) -> None:
        super().__init__()
        if cell.directions != 1:
            raise ValueError("attention looks back while it goes forward: it takes a cell of one direction")
        width = cell.state_sizes[0]
        self.cell = cell
        self.feed = self.add_weight(shape=(width, cell.gates * cell.units), name="feed")
        self.key = self.add_weight(shape=(memory_size, width), name="key")
        self.combine = self.add_weight(shape=(memory_size + width, width), name="combine")
        self.built = True

    def over(self, memory: Tensor, lengths: Tensor) -> "Attending":
        """Returns the cell that looks at this memory  # [B, T, M], of which `lengths`  # [B] are valid."""
        return Attending(self, memory, lengths)


class Attending(Cell):
    """An attention and its memory, as the cell that a loop runs. States: a  # [1, B, H], then the inner cell's."""

    directions = 1

    def __init__(self, attention: Attention, memory: Tensor, lengths: Tensor) -> None:
        super().__init__()
        self._attention = attention
        self._memory = memory
        self._keys = ops.matmul(memory, attention.key)  # [B, T, H]
        valid = ops.arange(ops.shape(memory)[1], dtype="int32") < ops.reshape(lengths, (-1, 1))  # [B, T]
        self._hidden = ops.cast(ops.where(valid, 0.0, HIDDEN), memory.dtype)

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
        """Returns how much is seen of each part of the memory, from the inner cell's state: sums to 1  # [B, T]."""
        query = ops.transpose(inner[0], (1, 2, 0))  # [B, H, 1]
        scores = ops.squeeze(ops.matmul(self._keys, query), -1)
        return ops.softmax(scores + self._hidden, axis=-1)
