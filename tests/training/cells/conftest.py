from collections.abc import Iterator

import keras
import pytest


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Computes with 64 bits, so that finite differences and NumPy agree to many digits."""
    _set_precision("float64")
    yield
    _set_precision("float32")


def _set_precision(name: str) -> None:
    keras.config.set_floatx(name)
    keras.config.set_dtype_policy(name)
