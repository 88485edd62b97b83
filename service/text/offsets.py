"""Converts offsets in a text to the string units of other languages."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

# Python and Rust's chars; JavaScript, Java and C#; Go, Rust's strings and C.
Unit = Literal["code_points", "utf16", "utf8"]


def positions(text: str, unit: Unit) -> Sequence[int]:
    """Returns the offset in `unit` of each code point, and of the text's end  # [len(text) + 1]."""
    if unit == "code_points" or text.isascii():
        return range(len(text) + 1)
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    if unit == "utf16":
        widths = 1 + (points > 0xFFFF)
    else:
        widths = 1 + (points > 0x7F).astype(int) + (points > 0x7FF) + (points > 0xFFFF)
    return [0, *np.cumsum(widths).tolist()]
