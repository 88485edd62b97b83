"""Minimal gated units, which run in parallel over time."""

from keras import ops

from training.cells.base import ReadingCell, State, Tensor


class MinimalGRU(ReadingCell):
    """A GRU whose gate and candidate depend on the input alone (Feng et al. 2024, "minGRU").

        z = σ(W x + b)      n = W x + b      h' = (1 - z) ⊙ h + z ⊙ n

    So h' is linear in h, and all the states of a sequence can be computed at once, in about log2(T) rounds and not in T
    steps: `training.cells.unroll` does. States: h, shape [D, B, H].
    """

    gates = 2  # z, n

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns a and b of h' = a ⊙ h + b, from projected inputs: [..., G] -> [..., H] each."""
        z, n = ops.split(x, 2, axis=-1)
        return ops.sigmoid(-z), ops.sigmoid(z) * n

    def step(self, x: Tensor, state: State) -> State:
        kept, added = self.coefficients(x)
        return (kept * state[0] + added,)
