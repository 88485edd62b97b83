"""Reads the sentences of CoNLL-U (universaldependencies.org/format.html), and writes them with other tags."""

import re
from collections.abc import Iterable, Sequence

from service.commands.annotate.job import Job
from service.commands.annotate.rows import CUT, BadRow, Lines, Row, without_newline
from service.errors import shortened
from service.text.conllu import Columns, write_features

COLUMNS = "ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC".split()
_NOT_A_WORD = re.compile(r"\d+[-.]\d+")  # the range of a multiword token, or an empty node
_COMMENT = re.compile(r"#\s*(sent_id|newdoc id|newpar id)\s*=\s*(.*)")


def read_sentence(lines: Lines, job: Job) -> Row:
    """Reads a sentence, with its words' forms. Only its block has multiword tokens and empty nodes.

    Raises StopIteration, and BadRow after the last line of a bad sentence.
    """
    block: list[str] = []
    first, bad = 0, None
    while True:
        try:
            line = without_newline(lines.read())
        except BadRow as error:
            bad, line = bad or error, "#"
        except StopIteration:
            if not block:
                raise
            break
        if not line.strip():
            if block:
                break
            continue
        first = first or lines.position.lines
        block.append(line)
    if bad is not None:
        raise bad
    tokens: list[str] = []
    for number, line in enumerate(block, first):
        cells = line.split("\t")
        if not line.startswith("#") and not _NOT_A_WORD.fullmatch(cells[0]):
            if problem := _problem(cells, len(tokens) + 1):
                raise lines.error(problem, number)
            tokens.append(cells[1])
    if sum(map(len, tokens)) + len(tokens) - 1 > job.longest_text:
        raise lines.error(f"the sentence is longer than {job.longest_text} characters: {CUT}", first)
    comments = filter(None, map(_COMMENT.fullmatch, block))
    kept = {comment[1].replace(" ", "_"): comment[2].strip() for comment in comments}
    return Row(first, "", tokens, kept, block)


def _problem(cells: Sequence[str], expected: int) -> str | None:
    """Returns what is wrong with the line of a word whose ID should be `expected`."""
    if len(cells) != len(COLUMNS):
        count = f"{len(cells)} column{'s' * (len(cells) > 1)}"
        return f"{count}, not {len(COLUMNS)}, separated by tabs: {' '.join(COLUMNS)}"
    if cells[0] != str(expected):
        problem = f"the ID {shortened(cells[0])!r}, not {expected}"
        return f"{problem}: words are numbered from 1, and a blank line ends each sentence"
    return None if cells[1].strip() else "FORM is empty"


def write_block(block: Iterable[str], columns: Iterable[Columns], generator: str | None) -> str:
    """Returns a sentence with the lemmas and tags of its words replaced, and all other lines and columns as they are.

    A lemma of None leaves the sentence's lemma. `generator` becomes the first comment, and replaces an earlier one.
    """
    lines = [f"# generator = {generator}"] if generator is not None else []
    words = iter(columns)
    for line in block:
        identity, *cells = line.split("\t")
        if line.startswith("#") or _NOT_A_WORD.fullmatch(identity):
            if generator is None or not line.startswith("# generator ="):
                lines.append(line)
            continue
        upos, xpos, feats, lemma, _ = next(words)
        cells[1:5] = [cells[1] if lemma is None else " ".join(lemma.split()), upos, xpos, write_features(feats)]
        lines.append("\t".join([identity, *cells]))
    return "\n".join([*lines, "", ""])
