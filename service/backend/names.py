"""Names of TensorFlow's functions that are the same in every process.

XLA keeps an executable under a hash in which the names of functions have a part. TensorFlow numbers these by a counter
of all that it has ever made, tensors included; so one model more or less in the store, or other shapes compiled before
it, and nothing that was kept for a model would be found again.
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.framework import ops

_loaded: Counter[str] = Counter()


@contextmanager
def names_of(model: str) -> Iterator[None]:
    """Numbers what is made in the block by the name of the model, and how many of that name there were before."""
    numbers = itertools.count(zlib.crc32(f"{model} {_loaded[model]}".encode()) << 20)
    _loaded[model] += 1
    usual, ops.uid = ops.uid, lambda: next(numbers)
    try:
        yield
    finally:
        ops.uid = usual
