"""The cells again, one row and one step at a time, in plain NumPy, from the equations of their papers alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.cells import GRU, LSTM, Cell, Residual
from training.course.cells import AdditiveRNN, ExtendedLSTM, IdentityRNN, MinimalGRU, SimpleRNN, UnitaryRNN

Array = NDArray[Any]
Step = Callable[[Array, tuple[Array, ...]], tuple[Array, ...]]  # input [I], states -> states, the output first


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def step_of(cell: Cell, d: int) -> Step:
    """Returns one step of a direction of a cell."""
    if isinstance(cell, Residual):
        inner_step = step_of(cell.cell, d)

        def residual(x: Array, state: tuple[Array, ...]) -> tuple[Array, ...]:
            after = inner_step(x, state[1:])
            return (x + after[0], *after)

        return residual
    kinds: dict[type[Cell], Callable[..., tuple[Array, ...]]] = {
        LSTM: lstm,
        ExtendedLSTM: lstm,
        GRU: gru,
        SimpleRNN: simple,
        IdentityRNN: simple,
        AdditiveRNN: lambda cell, d, x, h: (h + simple(cell, d, x, h)[0],),
        MinimalGRU: minimal,
        UnitaryRNN: unitary,
    }
    kind = kinds[type(cell)]
    return lambda x, state: kind(cell, d, x, *state)


def simple(cell: SimpleRNN, d: int, x: Array, h: Array) -> tuple[Array, ...]:
    a = x @ cell.kernel.numpy()[d] + h @ cell.recurrent_kernel.numpy()[d] + cell.bias.numpy()[d]
    return (np.tanh(a) if cell.activation.__name__ == "tanh" else np.maximum(a, 0),)


def gru(cell: GRU, d: int, x: Array, h: Array) -> tuple[Array, ...]:
    weight_r, weight_z, weight_n = np.split(cell.kernel.numpy()[d], 3, axis=1)
    recurrent_r, recurrent_z, recurrent_n = np.split(cell.recurrent_kernel.numpy()[d], 3, axis=1)
    bias_r, bias_z, bias_n = np.split(cell.bias.numpy()[d], 3)
    r = sigmoid(x @ weight_r + h @ recurrent_r + bias_r)
    z = sigmoid(x @ weight_z + h @ recurrent_z + bias_z)
    recalled = r * (h @ recurrent_n + cell.candidate_bias.numpy()[d, 0])
    n = np.tanh(x @ weight_n + bias_n + recalled)
    return (z * h + (1 - z) * n,)


def lstm(cell: LSTM, d: int, x: Array, h: Array, c: Array) -> tuple[Array, ...]:
    a = x @ cell.kernel.numpy()[d] + h @ cell.recurrent_kernel.numpy()[d] + cell.bias.numpy()[d]
    i, f, g, o = np.split(a, 4)
    peepholes, projection, clip = (getattr(cell, name, None) for name in ("peepholes", "projection", "cell_clip"))
    peep_i, peep_f, peep_o = np.split(peepholes.numpy()[d, 0], 3) if peepholes is not None else (0.0, 0.0, 0.0)
    c_new = sigmoid(f + peep_f * c) * c + sigmoid(i + peep_i * c) * np.tanh(g)
    c_new = np.clip(c_new, -clip, clip) if clip else c_new
    m = sigmoid(o + peep_o * c_new) * np.tanh(c_new)
    return m if projection is None else m @ projection.numpy()[d], c_new


def minimal(cell: MinimalGRU, d: int, x: Array, h: Array) -> tuple[Array, ...]:
    a_z, a_n = np.split(x @ cell.kernel.numpy()[d] + cell.bias.numpy()[d], 2)
    z = sigmoid(a_z)
    return ((1 - z) * h + z * a_n,)


def unitary_matrix(cell: UnitaryRNN, d: int) -> Array:
    """Returns V, the product of its rotations, as one complex matrix  # [H / 2, H / 2]."""
    size = cell.units // 2
    product = np.eye(size, dtype=complex)
    for i, (thetas, phis) in enumerate(zip(cell.theta.numpy()[d], cell.phi.numpy()[d], strict=True)):
        rotation = np.eye(size, dtype=complex)
        for k, (theta, phi) in enumerate(zip(thetas, phis, strict=True)):
            one, other = (2 * k + i % 2) % size, (2 * k + 1 + i % 2) % size
            rotation[one, one], rotation[one, other] = np.exp(1j * phi) * np.cos(theta), -np.sin(theta)
            rotation[other, one], rotation[other, other] = np.exp(1j * phi) * np.sin(theta), np.cos(theta)
        product = rotation @ product
    return np.diag(np.exp(1j * cell.omega.numpy()[d])) @ product


def unitary(cell: UnitaryRNN, d: int, x: Array, h: Array) -> tuple[Array, ...]:
    def as_complex(parts: Array) -> Array:
        real, imaginary = np.split(parts, 2)
        return real + 1j * imaginary

    z = as_complex(x @ cell.kernel.numpy()[d] + cell.bias.numpy()[d]) + unitary_matrix(cell, d) @ as_complex(h)
    z = z / np.abs(z) * np.maximum(0, np.abs(z) + cell.threshold.numpy()[d])
    return (np.concatenate([z.real, z.imag]),)


def reference(cell: Cell, inputs: Array, lengths: Array, initial: Any = None) -> tuple[Array, list[Array]]:
    """Runs row by row, position by position, over the valid positions alone: what `unroll` must give."""
    width = cell.state_sizes[0]
    outputs = np.zeros((*inputs.shape[:2], cell.directions * width), inputs.dtype)
    shapes = [(cell.directions, len(inputs), size) for size in cell.state_sizes]
    states = [np.array(s) for s in initial] if initial else [np.zeros(shape, inputs.dtype) for shape in shapes]
    for row, length in enumerate(lengths):
        for d in range(cell.directions):
            step = step_of(cell, d)
            state = tuple(s[d, row] for s in states)
            for t in range(length)[:: -1 if d else 1]:
                state = step(inputs[row, t], state)
                outputs[row, t, d * width : (d + 1) * width] = state[0]
            for whole, part in zip(states, state, strict=True):
                whole[d, row] = part
    return outputs, states
