"""Reads the sentences of CoNLL-U (universaldependencies.org/format.html), and writes them with other tags."""

import re
from collections.abc import Iterable, Sequence

from service.commands.annotate.rows import CUT, BadRow, Lines, Row, without_newline
from service.errors import shortened
from service.text.conllu import Columns, write_features

COLUMNS = "ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC".split()
_NOT_A_WORD = re.compile(r"\d+[-.]\d+")  # the range of a multiword token, or an empty node
_COMMENT = re.compile(r"#\s*(sent_id|newdoc id|newpar id)\s*=\s*(.*)")


def read_sentence(lines: Lines, longest: int) -> Row:
    """Reads a sentence, with its words' forms. Only its block has multiword tokens and empty nodes.

    Raises StopIteration, and BadRow after the last line of a bad sentence.
    """
    block: list[str] = []
    tokens: list[str] = []
    first, bad = 0, None
    while True:
        try:
            content = without_newline(next(lines))
            is_blank = not content or content.isspace()
            if is_blank and block:
                break
            if not is_blank:
                first = first if block else lines.position.lines
                block.append(content)
                if bad is None and not content.startswith("#"):
                    form = _form(lines, content, len(tokens) + 1)
                    tokens += [] if form is None else [form]
        except BadRow as error:
            bad = bad or error
            block = block or [""]
        except StopIteration:
            if block:
                break
            raise
    if bad is not None:
        raise bad
    return _sentence(lines, first, tokens, block, longest)


def _sentence(lines: Lines, line: int, tokens: list[str], block: list[str], longest: int) -> Row:
    if sum(map(len, tokens)) + len(tokens) - 1 > longest:
        raise lines.error(f"the sentence is longer than {longest} characters: {CUT}", line)
    return Row(line, "", tokens, block=block)


def _form(lines: Lines, line: str, expected: int) -> str | None:
    """Returns the form of a word; None for a multiword token and for an empty node."""
    cells = line.split("\t")
    if len(cells) != len(COLUMNS):
        count = f"{len(cells)} column{'s' * (len(cells) > 1)}"
        raise lines.error(f"{count}, not {len(COLUMNS)}, separated by tabs: {' '.join(COLUMNS)}")
    if _NOT_A_WORD.fullmatch(cells[0]):
        return None
    if cells[0] != str(expected):
        problem = f"the ID {shortened(cells[0])!r}, not {expected}"
        raise lines.error(f"{problem}: words are numbered from 1, and a blank line ends each sentence")
    if not cells[1] or cells[1].isspace():
        raise lines.error("FORM is empty")
    return cells[1]


def comments(block: Iterable[str]) -> dict[str, str]:
    """Returns the comments `sent_id`, `newdoc id` and `newpar id` of a sentence, with `_` for spaces."""
    found = (_COMMENT.fullmatch(line) for line in block)
    return {match[1].replace(" ", "_"): match[2].strip() for match in found if match is not None}


def write_block(block: Iterable[str], columns: Sequence[Columns], generator: str | None) -> str:
    """Returns a sentence with the lemmas and tags of its words replaced, and all other lines and columns as they are.

    A lemma of None keeps the one there is. `generator` becomes the first comment, in place of the one there is.
    """
    lines = [f"# generator = {generator}"] if generator is not None else []
    words = iter(columns)
    for line in block:
        identity, *cells = line.split("\t")
        if line.startswith("#") or _NOT_A_WORD.fullmatch(identity):
            if generator is None or not line.startswith("# generator ="):
                lines.append(line)
            continue
        upos, xpos, feats, lemma = next(words)
        cells[1:5] = [cells[1] if lemma is None else " ".join(lemma.split()), upos, xpos, write_features(feats)]
        lines.append("\t".join([identity, *cells]))
    return "\n".join([*lines, "", ""])
