"""Labelled texts in tables: reviews of IMDB, tweets of SemEval-2017.

A text becomes a tree with a single phrase, the form in which the task reads the Stanford Sentiment Treebank.
"""

from collections.abc import Iterator, Sequence

from service.text.spacy_tokenizer import SpacyTokenizer
from training.data import corpora
from training.data.catalogue import CORPORA
from training.data.sst import Phrase

NEGATIVE, NEUTRAL, POSITIVE = 1, 2, 3  # the treebank's grades that stand for the labels
GRADES = {"imdb": (NEGATIVE, POSITIVE), "tweets": (NEGATIVE, NEUTRAL, POSITIVE)}
DEV_ROWS = 10  # every tenth row of train is dev, where a corpus has no dev part


def splits(corpus: str, tokenizer: SpacyTokenizer, longest: int) -> dict[str, list[list[Phrase]]]:
    """Returns train, dev and test."""
    train, test = (list(read(corpus, split, tokenizer, longest)) for split in ("train", "test"))
    if "dev" in CORPORA[corpus].files:
        return {"train": train, "dev": list(read(corpus, "dev", tokenizer, longest)), "test": test}
    rows = [row for i, row in enumerate(train) if i % DEV_ROWS]
    return {"train": rows, "dev": train[::DEV_ROWS], "test": test}


def read(corpus: str, split: str, tokenizer: SpacyTokenizer, longest: int) -> Iterator[list[Phrase]]:
    """Yields each text, see `shortened`."""
    for row in corpora.read_table(corpus, split):
        text = row["text"].replace("<br />", " ")
        if tokens := shortened([token.text for token in tokenizer.tokens(text)], longest):
            yield [Phrase(tokens, GRADES[corpus][int(row["label"])])]


def shortened(tokens: Sequence[str], longest: int) -> tuple[str, ...]:
    """Returns the tokens of a text, cut to `longest`: the first third from its beginning, the rest from its end."""
    if not longest or len(tokens) <= longest:
        return tuple(tokens)
    return (*tokens[: longest // 3], *tokens[longest // 3 - longest :])
