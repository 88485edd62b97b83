"""Writes sentences as CoNLL-U, the format of Universal Dependencies (universaldependencies.org/format.html), in NFC.

Columns without an analysis are `_`. Readers that require a tree, such as the evaluation script of the CoNLL 2018 shared
task, get a chain on request: each word's HEAD is the word before it, and DEPREL is `dep`. White space other than a
space between two tokens is in MISC, in UDPipe's form.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from service.text.interruptible import Interruptible, collect
from service.text.normalization import nfc
from service.text.tokens import TokenSpan, multiwords

MEDIA_TYPE = "text/x-conllu"
NO_FEATURES = "_"

_TOKENS_AT_ONCE = 128
_NOTHING = "\t_" * 7  # the columns LEMMA to DEPS of a multiword token
_SPACE = re.compile(r"\s*")
_ESCAPED = {"\t": r"\t", "\r": r"\r"} | dict.fromkeys("\n\v\f\x1c\x1d\x1e\x1f\x85\u2028\u2029", r"\n")
_SPACE_ESCAPE = r"\s"

Columns = tuple[str, str, Mapping[str, str], str | None]  # of a token: UPOS, XPOS, features, lemma


def write_sentence(
    comments: Mapping[str, str],
    text: str,
    tokens: Sequence[TokenSpan],
    columns: Iterable[Columns],
    places: Sequence[int],
    *,
    chain: bool = False,
    sources: Mapping[int, str] | None = None,
) -> Interruptible[list[bytes]]:
    """Encodes a sentence as a CoNLL-U block in UTF-8 with its final empty line, in chunks.

    The tokens' offsets are in `text`; `places` maps them to the offsets to write as UDPipe's `TokenRange` in MISC. With
    `chain`, words have heads. `sources` maps the index of each token whose tags are not the model's to what MISC
    names as their source.
    """
    ends = dict(multiwords(tokens))  # by first token
    written = [f"# {name} = {value}\n" if value else f"# {name}\n" for name, value in comments.items()]
    written.append("# text = ")
    end = tokens[0].start  # of the token before
    if len(tokens) <= _TOKENS_AT_ONCE and _is_form(line := text[end : tokens[-1].end]):
        written.append(line)
    else:
        for i, token in enumerate(tokens, start=1):
            if token.start >= end:  # otherwise it is a word of the same token
                written.append(" " * (token.start > end) + _form(text[token.start : token.end]))
            end = token.end
            if not i % _TOKENS_AT_ONCE:
                yield
    written.append("\n")
    last = -1  # last token of the current multiword token
    head = "_\t_"
    for i, ((form, start, end, _), (upos, xpos, feats, lemma)) in enumerate(zip(tokens, columns, strict=True)):
        if i in ends:
            last = ends[i]
            whole, misc = nfc(text[start : tokens[last].end]), _misc(text, start, tokens[last].end, places)
            written.append(f"{i + 1}-{last + 1}\t{whole}{_NOTHING}\t{misc}\n")
        misc = "_" if i <= last else _misc(text, start, end, places)
        if sources and i in sources:
            misc = f"Source={sources[i]}" if misc == "_" else f"{misc}|Source={sources[i]}"
        if chain:
            head = f"{i}\tdep" if i else "0\troot"
        tags = f"{'_' if lemma is None else _form(lemma)}\t{upos}\t{xpos}\t{write_features(feats)}"
        written.append(f"{i + 1}\t{_form(form)}\t{tags}\t{head}\t_\t{misc}\n")
        if not i % _TOKENS_AT_ONCE:
            yield
    written.append("\n")
    chunks = (
        "".join(written[begin : begin + _TOKENS_AT_ONCE]).encode() for begin in range(0, len(written), _TOKENS_AT_ONCE)
    )
    return (yield from collect(chunks, _TOKENS_AT_ONCE))


def write_features(feats: Mapping[str, str]) -> str:
    """Formats features as `Number=Sing|Person=3`, or `_` for none."""
    return "|".join(map("=".join, feats.items())) or NO_FEATURES


def parse_features(label: str) -> dict[str, str]:
    """Parses CoNLL-U features, `Number=Sing|Person=3`, or `_` for none."""
    return dict(pair.split("=", 1) for pair in label.split("|")) if label != NO_FEATURES else {}


def _misc(text: str, start: int, end: int, places: Sequence[int]) -> str:
    """Returns the MISC column of a token: its offsets, and the white space behind it, unless that is a single space."""
    after, spaces = text[end : end + 2], ""
    if not after[:1].isspace():
        spaces = "SpaceAfter=No|" if after else ""
    elif after[0] != " " or after[1:].isspace():
        space = cast(re.Match[str], _SPACE.match(text, end)).group()
        escaped = "".join(_ESCAPED.get(character, _SPACE_ESCAPE) for character in space)
        spaces = "" if escaped == _SPACE_ESCAPE else f"SpacesAfter={escaped}|"
    return f"{spaces}TokenRange={places[start]}:{places[end]}"


def _form(token: str) -> str:
    """Replaces white space in a client's token, since a form may only contain single spaces; normalizes to NFC."""
    form = " ".join(token.split())
    return form if form.isascii() else nfc(form)


def _is_form(text: str) -> bool:
    """Returns whether a text can be written as it is: printable ASCII, with single spaces between words.

    No tokenizer leaves out such a character.
    """
    return text.isascii() and text.isprintable() and " ".join(text.split()) == text
