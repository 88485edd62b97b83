"""Minimal gated units, which run in parallel over time."""

from keras import ops

from training.cells import ReadingCell, State, Tensor


class MinimalGRU(ReadingCell):
    """A GRU whose gate and candidate depend on the input alone (Feng et al. 2024, "minGRU").

        z = σ(W x + b)      n = W x + b      h' = (1 - z) ⊙ h + z ⊙ n

    So h' is linear in h, and all the states of a sequence can be computed at once, in about log2(T) rounds and not in T
    steps. States: h, shape [D, B, H].
    """

    gates = 2  # z, n

    def coefficients(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns a and b of h' = a ⊙ h + b, from projected inputs: [..., G] -> [..., H] each."""
        z, n = ops.split(x, 2, axis=-1)
        return ops.sigmoid(-z), ops.sigmoid(z) * n

    def step(self, x: Tensor, state: State) -> State:
        kept, added = self.coefficients(x)
        return (kept * state[0] + added,)

    def run(self, xs: Tensor, ends: Tensor, state: State) -> tuple[Tensor, State]:
        """Computes all steps by a parallel scan: each round doubles the number of joined steps (Blelloch 1990)."""
        time = ops.shape(xs)[0]
        steps = ops.arange(time, dtype="int32")
        positions = ops.stack([steps, time - 1 - steps][: self.directions], axis=1)  # [T, D]
        valid = ops.reshape(positions, (-1, self.directions, 1, 1)) < ends  # [T, D, B, 1]
        kept, added = self.coefficients(xs)
        kept, added = ops.where(valid, kept, 1.0), ops.where(valid, added, 0.0)

        def join(width: Tensor, kept: Tensor, added: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            before = steps - width
            exists = ops.reshape(before >= 0, (-1, 1, 1, 1))
            kept_before, added_before = (ops.take(x, ops.maximum(before, 0), axis=0) for x in (kept, added))
            joined = kept * ops.where(exists, added_before, 0.0) + added
            return 2 * width, kept * ops.where(exists, kept_before, 1.0), joined

        start = (ops.ones((), "int32"), kept, added)
        _, kept, added = ops.while_loop(lambda width, *_: width < time, join, start)
        states = kept * state[0] + added
        return states, (states[-1],)
