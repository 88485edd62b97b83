"""Times the tagger's step in several runtimes, on the same weights, in one process, the runtimes taking turns.

    python -m loadtests.runtimes                 one thread
    python -m loadtests.runtimes --threads 2

Words are read beforehand: the step is from embedded words to the best label of each head and its probability. The
service multiplies states in integers, the others in floats; those must give the same probabilities, but for bfloat16.
How far each is from what is served is printed. Beside them runs by XLA what the tagger's step may cost as much as: a
BiLSTM of 256 units per direction over words 128 wide.
"""

import argparse
import gc
import os
import time
from collections.abc import Mapping
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from loadtests.runtimes import onnx_steps, tensorflow_steps, torch_steps
from loadtests.runtimes.weights import HEADS, batch_of, read_weights
from service.backend.cache import NO_CACHE
from service.types import Array

SHAPES = ((1, 16), (4, 16), (8, 16), (16, 16), (64, 16), (32, 32))
TOLERANCE = 1e-4
INTEGERS = ("XLA, as served", "XLA", "TensorFlow graph")
TOLERANCE_OF_INTEGERS = 0.01  # where tanh differs in its last digit, a state may be rounded to another integer
REFERENCE = "XLA, 128 and 256"
TURN_SECONDS = 0.1  # long enough to find its own weights in the cache again, as a service does


def main() -> None:
    """Prints a line for each shape: the median of each runtime, in milliseconds."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.runtimes", description="The tagger's step in runtimes.")
    parser.add_argument("--threads", type=int, default=1, help="of each runtime")
    parser.add_argument("--seconds", type=float, default=8.0, help="for each shape")
    options = parser.parse_args()
    NO_CACHE.configure()  # XLA's flags, as the service sets them
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    weights, folder = read_weights()
    runs = {
        **tensorflow_steps.make(weights, folder),
        **onnx_steps.make(weights, options.threads),
        **torch_steps.make(weights, options.threads),
    }
    others = {REFERENCE: tensorflow_steps.reference(weights)}
    gc.collect()
    gc.freeze()  # as the service does: a collection looks at none of what the runtimes have built
    print(f"milliseconds, {options.threads} thread(s): median (least)")
    for rows, length in SHAPES:
        batch = batch_of(weights, rows, length)
        outputs = {name: run(batch) for name, run in runs.items()}
        differences = {name: difference(found, outputs[INTEGERS[0]]) for name, found in outputs.items()}
        for name, found in outputs.items():
            right, most = (INTEGERS[0], TOLERANCE_OF_INTEGERS) if name in INTEGERS else ("XLA, float32", TOLERANCE)
            if "bfloat16" not in name and (far := difference(found, outputs[right])) > most:
                raise SystemExit(f"{name} differs from {right} by {far}")
        for run in others.values():
            run(batch)
        seconds: dict[str, list[float]] = {name: [] for name in runs | others}
        ends = time.perf_counter() + options.seconds
        while time.perf_counter() < ends:
            for name, run in (runs | others).items():
                until = time.perf_counter() + TURN_SECONDS
                while (began := time.perf_counter()) < until:
                    run(batch)
                    seconds[name].append(time.perf_counter() - began)
        print(f"B={rows}, T={length}")
        for name, times in seconds.items():
            differs = f"  differs by {differences[name]:.0e}" if name in differences else ""
            print(f"  {name:20} {1000 * median(times):7.2f} ({1000 * min(times):.2f}){differs}")


def difference(one: Mapping[str, Array], other: Mapping[str, Array]) -> float:
    """Returns the largest difference of a probability."""
    pairs = ([given[f"{head}_probability"].ravel() for given in (one, other)] for head in HEADS)  # of full rows
    return float(max(np.abs(a - b).max() for a, b in pairs))


if __name__ == "__main__":
    main()
