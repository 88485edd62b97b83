"""Sentences as CoNLL-U, the format of Universal Dependencies' treebanks (universaldependencies.org/format.html).

What is not analysed is `_`, but for HEAD: the evaluation of the CoNLL 2018 shared task reads nothing without a tree, so
each word hangs on the one before it, and its DEPREL, `_`, says that this is no analysis. Stanza does the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from service.slices import Sliced
from service.text.tokenizer import Token

MEDIA_TYPE = "text/x-conllu"

_AT_ONCE = 128  # tokens of a slice
_NOTHING = "\t_" * 7  # of a multiword token's line: from LEMMA to DEPS


class Multiword(NamedTuple):
    """A word of the text that is several tokens: those from index `first` to index `last`."""

    first: int
    last: int


class Columns(NamedTuple):
    """What is known of a token."""

    upos: str
    xpos: str
    feats: Mapping[str, str]
    lemma: str | None = None


def multiwords(tokens: Sequence[Token]) -> list[Multiword]:
    """Returns the multiword tokens among the tokens of a sentence: "don't" where they are "do" and "n't"."""
    found: list[Multiword] = []
    for i, token in enumerate(tokens):
        if token.continues:
            if found and found[-1].last == i - 1:
                found[-1] = Multiword(found[-1].first, i)
            else:
                found.append(Multiword(i - 1, i))
    return found


def write_sentence(
    comments: Mapping[str, str], text: str, tokens: Sequence[Token], columns: Iterable[Columns], places: Sequence[int]
) -> Sliced[list[bytes]]:
    """Returns a sentence as a block of CoNLL-U in UTF-8, its empty line included, in pieces.

    `text` is the text that the tokens' offsets are in; `places` gives the offset to write for each of its code points,
    as `TokenRange` in MISC, which is UDPipe's word for it.
    """
    ends = dict(multiwords(tokens))  # of the multiword tokens, by their beginnings
    lines = [f"# {name} = {value}" for name, value in comments.items()]
    lines.append("# text = ")
    pieces = ["\n".join(lines).encode()]
    pieces += yield from surface(text, tokens)
    lines = [""]
    last = -1  # of the multiword token that is being written
    for i, (token, column) in enumerate(zip(tokens, columns, strict=True)):
        if not i % _AT_ONCE:
            pieces.append("\n".join(lines).encode())
            lines = [""]
            yield
        if i in ends:
            last = ends[i]
            whole = text[token.start : tokens[last].end]
            lines.append(f"{i + 1}-{last + 1}\t{whole}{_NOTHING}\t{_misc(text, token.start, tokens[last].end, places)}")
        misc = "_" if i <= last else _misc(text, token.start, token.end, places)
        feats = write_features(column.feats)
        lemma = "_" if column.lemma is None else _form(column.lemma)
        tags = f"{column.upos}\t{column.xpos}\t{feats}"
        lines.append(f"{i + 1}\t{_form(token.text)}\t{lemma}\t{tags}\t{i}\t_\t_\t{misc}")
    pieces.append("\n".join([*lines, "", ""]).encode())
    return pieces


def write_features(feats: Mapping[str, str]) -> str:
    """Returns features as `Number=Sing|Person=3`, or `_` for none."""
    return "|".join(f"{name}={value}" for name, value in feats.items()) or "_"


def surface(text: str, tokens: Sequence[Token]) -> Sliced[list[bytes]]:
    """Returns the text of a sentence with one space where the tokens are apart, as `# text` has it."""
    parts = [_form(tokens[0].text)]
    pieces = []
    for i, (before, token) in enumerate(pairwise(tokens), start=1):
        if not i % _AT_ONCE:
            pieces.append("".join(parts).encode())
            parts = []
            yield
        parts.append(_form(token.text) if token.start == before.end else " " + _form(token.text))
    pieces.append("".join(parts).encode())
    return pieces


def _misc(text: str, start: int, end: int, places: Sequence[int]) -> str:
    """Returns the MISC of a token of the surface."""
    joined = "" if text[end : end + 1].strip() == "" else "SpaceAfter=No|"
    return f"{joined}TokenRange={places[start]}:{places[end]}"


def _form(token: str) -> str:
    """A client's own token may hold white space; one space is all that a form can have."""
    return " ".join(token.split())
