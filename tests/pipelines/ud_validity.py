"""What levels 1 and 2 of the validator of Universal Dependencies ask of a file, written from its messages.

https://universaldependencies.org/validation-rules.html. This is more than the evaluation of the CoNLL 2018 shared task
asks before it scores a file (Zeman et al., 2018, and the errors that `conll18_ud_eval.py` names).
"""

import re
import unicodedata
from itertools import pairwise

UPOS = frozenset("ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X".split())
FEATURE = re.compile(r"[A-Z][A-Za-z0-9]*(?:\[[a-z0-9]+\])?=[A-Z0-9][a-zA-Z0-9]*(?:,[A-Z0-9][a-zA-Z0-9]*)*")
WITH_SPACES = (1, 2, 9)  # FORM, LEMMA, MISC


def check(file: str, *, has_heads: bool) -> list[str]:
    """Checks a file; returns the text of each sentence."""
    assert not file or file.endswith("\n\n")
    assert unicodedata.is_normalized("NFC", file)
    assert not re.search(r"[\r\v\f\x1c-\x1e\x85\u2028\u2029]", file)
    texts, ids = [], set()
    sentences = file.split("\n\n")[:-1]
    for block in sentences:
        lines = block.split("\n")
        assert not any(line != line.rstrip() or not line for line in lines)
        comments = [line for line in lines if line.startswith("# ")]
        rows = [line.split("\t") for line in lines[len(comments) :]]
        assert rows
        (sent_id,) = (c.removeprefix("# sent_id = ") for c in comments if c.startswith("# sent_id = "))
        assert re.fullmatch(r"[^\s/]+", sent_id)
        assert sent_id not in ids
        ids.add(sent_id)
        (text,) = (c.removeprefix("# text = ") for c in comments if c.startswith("# text = "))
        assert text == text.strip() != ""
        assert all(sum(c.startswith(name) for c in comments) <= 1 for name in ("# newdoc", "# newpar"))
        assert check_rows(rows, has_heads=has_heads) == text
        texts.append(text)
    for block, following in pairwise(sentences):
        if re.match(r"(# generator.*\n)?# new(doc|par)", following):
            assert "SpaceAfter=No" not in block.rpartition("\n")[2]
    return texts


def check_rows(rows: list[list[str]], *, has_heads: bool) -> str:
    """Checks the lines of a sentence; returns its text as they say it."""
    words, inside, text = 0, 0, ""
    for row in rows:
        assert len(row) == 10
        assert all(row)
        assert all(cell == cell.strip() and "  " not in cell for cell in row)
        assert not any(" " in cell for i, cell in enumerate(row) if i not in WITH_SPACES)
        misc = dict(pair.split("=", 1) for pair in row[9].split("|")) if row[9] != "_" else {}
        assert misc.get("SpaceAfter", "No") == "No"
        if "-" in row[0]:
            first, last = map(int, row[0].split("-"))
            assert words + 1 == first < last
            assert first > inside
            assert set(row[2:9]) == {"_"}
            inside = last
        else:
            words += 1
            assert row[0] == str(words)
            assert row[3] in UPOS
            features = row[5].split("|") if row[5] != "_" else []
            assert all(map(FEATURE.fullmatch, features))
            assert features == sorted(features, key=str.lower)
            if words <= inside:
                assert misc == {}
                continue
        text += row[1] + " " * ("SpaceAfter" not in misc)
    assert inside <= words
    edges = [(row[6], row[7]) for row in rows if "-" not in row[0]]
    chain = [("0", "root"), *((str(head), "dep") for head in range(1, words))]
    assert edges == (chain if has_heads else [("_", "_")] * words)
    assert {row[8] for row in rows} == {"_"}
    return text.rstrip()
