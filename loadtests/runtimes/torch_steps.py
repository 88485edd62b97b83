"""The step in PyTorch. Its LSTM takes full rows here: packed sequences of several lengths cost it more."""

from collections.abc import Callable

import torch

from loadtests.runtimes.weights import HEADS, Weights
from service.types import Array, Tensors

Run = Callable[[Tensors], dict[str, Array]]


def make(weights: Weights, threads: int) -> dict[str, Run]:
    """Returns the step in PyTorch."""
    torch.set_num_threads(threads)
    lstm = torch.nn.LSTM(weights.kernel.shape[1], weights.units, bidirectional=True, batch_first=True)
    with torch.no_grad():  # its gates are i, f, g, o, too
        for direction, suffix in enumerate(("l0", "l0_reverse")):
            getattr(lstm, f"weight_ih_{suffix}").copy_(torch.tensor(weights.kernel[direction].T))
            getattr(lstm, f"weight_hh_{suffix}").copy_(torch.tensor(weights.recurrent_kernel[direction].T))
            getattr(lstm, f"bias_ih_{suffix}").copy_(torch.tensor(weights.bias[direction]))
            getattr(lstm, f"bias_hh_{suffix}").zero_()
    head_kernel, head_bias = torch.tensor(weights.head_kernel), torch.tensor(weights.head_bias)

    def run(batch: Tensors) -> dict[str, Array]:
        outputs: dict[str, Array] = {}
        with torch.inference_mode():
            hidden, _ = lstm(torch.from_numpy(batch["inputs"]))
            logits = torch.split(hidden @ head_kernel + head_bias, weights.labels, dim=-1)
            for head, scores in zip(HEADS, logits, strict=True):
                probability, best = torch.softmax(scores, dim=-1).max(dim=-1)
                outputs |= {f"{head}_id": best.int().numpy(), f"{head}_probability": probability.numpy()}
        return outputs

    return {"PyTorch": run}
