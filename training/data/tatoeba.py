"""Everyday sentences of Tatoeba, a collection that its contributors write and translate.

They are published with their English translations, a pair a line: English, the other language, the licence and the
authors, separated by tabs.
"""

from pathlib import Path


def sentences(pairs: Path) -> bytes:
    """Returns the sentences of the other language, a line each, without repeats."""
    found = dict.fromkeys(line.split("\t")[1] for line in pairs.read_text(encoding="utf-8").split("\n") if line)
    return "".join(f"{sentence}\n" for sentence in found).encode()
