"""A recurrence with a unitary matrix, which keeps the norm of the state."""

import keras
import numpy as np
from keras import ops

from training.cells import ReadingCell, State, Tensor

TINY = 1e-12  # beside the square of a length, so that zero has a gradient


class UnitaryRNN(ReadingCell):
    """A recurrent network with a unitary matrix (Arjovsky et al. 2016), made of rotations (Jing et al. 2017, "EUNN").

        h' = modReLU(W x + V h + b)      V = D R_C ... R_2 R_1      modReLU(z) = z / |z| max(0, |z| + β)

    The state is complex, H / 2 numbers: real parts, then imaginary ones. R_i turns neighbours in pairs, those of even i
    shifted by one place:

        (x, y) -> (exp(iφ) cos θ x - sin θ y, exp(iφ) sin θ x + cos θ y)

    and D turns each number, by exp(iω). |V h| = |h|, so errors go back through any number of steps without vanishing or
    exploding. States: h, shape [D, B, H].

    Args:
        capacity: C, the number of rotations.
    """

    gates = 1

    def __init__(self, input_size: int, units: int, directions: int = 1, *, capacity: int = 4) -> None:
        super().__init__(input_size, units, directions)
        if units % 4:
            raise ValueError(
                f"a unitary network turns pairs of complex numbers: units is {units}, and has to be 4, 8, 12, …"
            )
        self.capacity = capacity

        def angles() -> keras.Initializer:
            return keras.initializers.RandomUniform(-np.pi, np.pi)

        self.theta = self._weight("theta", (capacity, units // 4), angles)
        self.phi = self._weight("phi", (capacity, units // 4), angles)
        self.omega = self._weight("omega", (units // 2,), angles)
        self.threshold = self._weight("threshold", (units // 2,), keras.initializers.Zeros)  # β

    def step(self, x: Tensor, state: State) -> State:
        turned_real, turned_imaginary = self.turn(*ops.split(state[0], 2, axis=-1))
        x_real, x_imaginary = ops.split(x, 2, axis=-1)
        real, imaginary = turned_real + x_real, turned_imaginary + x_imaginary
        length = ops.sqrt(real**2 + imaginary**2 + TINY)
        scale = ops.relu(length + ops.expand_dims(self.threshold, 1)) / length
        return (ops.concatenate([real * scale, imaginary * scale], axis=-1),)

    def turn(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """Returns V h, real and imaginary parts, shape [D, B, H / 2] each."""
        for i in range(self.capacity):
            shift = i % 2
            pairs = [_pairs(ops.roll(part, -shift, axis=-1)) for part in (real, imaginary)]
            (x_real, y_real), (x_imaginary, y_imaginary) = pairs
            sine, cosine = _around(self.theta[:, i])
            x_real, x_imaginary = _times(x_real, x_imaginary, *_around(self.phi[:, i])[::-1])
            real = _joined(cosine * x_real - sine * y_real, sine * x_real + cosine * y_real, shift)
            imaginary = _joined(
                cosine * x_imaginary - sine * y_imaginary, sine * x_imaginary + cosine * y_imaginary, shift
            )
        sine, cosine = _around(self.omega)
        return _times(real, imaginary, cosine, sine)


def _around(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Returns sine and cosine of angles, with an axis for the rows of a batch: [D, N] -> [D, 1, N] each."""
    return ops.expand_dims(ops.sin(angle), 1), ops.expand_dims(ops.cos(angle), 1)


def _times(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Returns (a + ib) (c + id), real and imaginary part."""
    return a * c - b * d, a * d + b * c


def _pairs(x: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the first and the second of each two neighbours: [..., N] -> [..., N / 2] each."""
    return x[..., ::2], x[..., 1::2]


def _joined(first: Tensor, second: Tensor, shift: int) -> Tensor:
    """Returns neighbours side by side, turned back by `shift` places: [D, B, N / 2] each -> [D, B, N]."""
    directions, batch, half = ops.shape(first)
    return ops.roll(ops.reshape(ops.stack([first, second], axis=-1), (directions, batch, 2 * half)), shift, axis=-1)
