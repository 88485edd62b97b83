"""The simple recurrent network, and two changes of it."""

from collections.abc import Callable

from keras import ops

from training.cells import BasicCell, State, Tensor


class SimpleRNN(BasicCell):
    """The recurrence of Elman (1990), Finding Structure in Time.

        h' = φ(W x + U h + b)

    φ is tanh by default; with `ops.relu` it neither saturates nor is bounded, and gradients must be clipped.
    States: h, shape [D, B, H].
    """

    gates = 1

    def __init__(
        self, input_size: int, units: int, directions: int = 1, activation: Callable[[Tensor], Tensor] = ops.tanh
    ) -> None:
        super().__init__(input_size, units, directions)
        self.activation = activation
        self.output_limit = 1.0 if activation is ops.tanh else None

    def step(self, x: Tensor, state: State, seen: Tensor | None = None) -> State:
        h = state[0] if seen is None else seen
        return (self.activation(x + self.recur(h)),)


class IdentityRNN(SimpleRNN):
    """A ReLU network whose U starts as the identity and whose b as zero (Le, Jaitly and Hinton 2015), an "IRNN".

        h' = max(0, W x + U h + b)

    At first the input is added to the state, and gradients go back unchanged. States: h, shape [D, B, H].
    """

    def __init__(self, input_size: int, units: int, directions: int = 1) -> None:
        super().__init__(input_size, units, directions, ops.relu)
        self.recurrent_kernel.assign(ops.broadcast_to(ops.eye(units), self.recurrent_kernel.shape))


class AdditiveRNN(SimpleRNN):
    """A recurrence that adds to its state, without gates.

        h' = h + tanh(W x + U h + b)

    The Jacobian of a step is I + diag(tanh') U: what the state is, it stays, and a gradient goes back unchanged beside
    the product with U. Nothing bounds or forgets the state. States: h, shape [D, B, H].
    """

    def __init__(self, input_size: int, units: int, directions: int = 1) -> None:
        super().__init__(input_size, units, directions)
        self.output_limit = None

    def step(self, x: Tensor, state: State, seen: Tensor | None = None) -> State:
        (added,) = super().step(x, state, seen)
        return (state[0] + added,)
