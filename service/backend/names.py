"""Makes TensorFlow's function names the same in every process, and for all models of the same graph.

XLA's cache keys include function names, which TensorFlow numbers by a global counter. Another model in the store, or
other shapes compiled before, would change the names, and no cached executable would be found. Models whose graphs are
the same to the byte, and that differ in their weights alone, have the same names: what is compiled for one of them runs
all others.
"""

import itertools
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from tensorflow.python.framework import ops

_loaded: Counter[tuple[str, str]] = Counter()


@contextmanager
def reproducible_names(graph: str, model: str) -> Iterator[None]:
    """Numbers names created in the block by the graph, and by how often the model has been loaded before.

    A model that is loaded again, since an executable was damaged, gets new names: TensorFlow keeps what has failed.
    """
    key = graph, model
    numbers = itertools.count(zlib.crc32(f"{graph} {_loaded[key]}".encode()) << 20)
    _loaded[key] += 1
    usual, ops.uid = ops.uid, lambda: next(numbers)
    try:
        yield
    finally:
        ops.uid = usual
