"""What the evaluation of the CoNLL 2018 shared task asks of a file before it scores it, written from its description.

Zeman et al. (2018), and the checks that `conll18_ud_eval.py` names in its errors: ten columns; word ids that count
from 1; a range before its words; no empty form; heads that make one tree with one root; the characters of the text.
"""

import unicodedata


def read(file: str) -> list[tuple[str, list[list[str]]]]:
    """Returns the sentences: the characters of each, without spaces, and the columns of its words."""
    assert file.endswith("\n\n")
    sentences = []
    for block in file.removesuffix("\n\n").split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n") if not line.startswith("#")]
        assert all(len(row) == 10 and all(row) for row in rows), block
        words: list[list[str]] = []
        characters, inside = "", 0
        for row in rows:
            form = "".join(c for c in row[1] if unicodedata.category(c) != "Zs")
            assert form
            if "-" in row[0]:
                first, last = map(int, row[0].split("-"))
                assert first == len(words) + 1
                assert last > first >= inside
                characters, inside = characters + form, last
                continue
            words.append(row)
            assert int(row[0]) == len(words)
            if len(words) > inside:
                characters += form
        assert inside <= len(words)
        check_tree([int(word[6]) for word in words])
        sentences.append((characters, words))
    return sentences


def check_tree(heads: list[int]) -> None:
    assert heads.count(0) == 1
    for head in heads:
        steps = 0
        while head:
            assert 0 < head <= len(heads)
            head, steps = heads[head - 1], steps + 1
            assert steps <= len(heads), "a cycle"
