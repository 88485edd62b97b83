"""Makes TensorFlow's function names the same in every process.

XLA's cache keys include function names, which TensorFlow numbers by a global counter. Another model in the store, or
other shapes compiled before, would change the names, and no cached executable would be found.
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.framework import ops

_loaded: Counter[str] = Counter()


@contextmanager
def reproducible_names(model: str) -> Iterator[None]:
    """Numbers names created in the block by the model's name and their count for that name."""
    numbers = itertools.count(zlib.crc32(f"{model} {_loaded[model]}".encode()) << 20)
    _loaded[model] += 1
    usual, ops.uid = ops.uid, lambda: next(numbers)
    try:
        yield
    finally:
        ops.uid = usual
