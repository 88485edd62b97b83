"""Texts with a label each, in tables whose first line names the columns: reviews of IMDB, tweets of SemEval-2017.

A text becomes a tree of one phrase, as the task reads the treebank's.
"""

from collections.abc import Iterator

from service.text.spacy_tokenizer import SpacyTokenizer
from training import corpora
from training.sst import Phrase

NEGATIVE, NEUTRAL, POSITIVE = 1, 2, 3  # the grades that stand for labels
GRADES = {"imdb": (NEGATIVE, POSITIVE), "tweets": (NEGATIVE, NEUTRAL, POSITIVE)}
DEV_ROWS = 10  # of a corpus without a dev part, each tenth row of train


def splits(corpus: str, tokenizer: SpacyTokenizer, longest: int) -> dict[str, list[list[Phrase]]]:
    """Returns train, dev and test."""
    train, test = (list(read(corpus, split, tokenizer, longest)) for split in ("train", "test"))
    if "dev" in corpora.CORPORA[corpus].files:
        return {"train": train, "dev": list(read(corpus, "dev", tokenizer, longest)), "test": test}
    rows = [row for i, row in enumerate(train) if i % DEV_ROWS]
    return {"train": rows, "dev": train[::DEV_ROWS], "test": test}


def read(corpus: str, split: str, tokenizer: SpacyTokenizer, longest: int) -> Iterator[list[Phrase]]:
    """Yields each text. One that is longer than `longest` tokens keeps its beginning and, more of it, its end."""
    columns, *rows = (line.split("\t") for line in corpora.read(corpus, split).rstrip("\n").split("\n"))
    label, text = columns.index("label"), columns.index("text")
    for row in rows:
        tokens = tuple(token.text for token in tokenizer.tokens(row[text].replace("<br />", " ")))
        if longest and len(tokens) > longest:
            tokens = tokens[: longest // 3] + tokens[longest // 3 - longest :]
        if tokens:
            yield [Phrase(tokens, GRADES[corpus][int(row[label])])]
