"""Labelled texts in tables: reviews of films and products, tweets, comments, posts, news.

A text becomes a tree with a single phrase, the form in which the task reads the Stanford Sentiment Treebank.
"""

import html
from collections.abc import Iterable, Iterator, Mapping, Sequence

from service.text.tokenizer import Tokenizer
from training.data import corpora, running_text
from training.data.catalogue import CORPORA
from training.data.splits import sample
from training.data.sst import Phrase

NEGATIVE, NEUTRAL, POSITIVE = 1, 2, 3  # the treebank's grades that stand for the labels
NAMED = {"negative": NEGATIVE, "neutral": NEUTRAL, "positive": POSITIVE}  # no others, such as "mixed"
GRADES = {"imdb": {"0": NEGATIVE, "1": POSITIVE}, "tweets": {"0": NEGATIVE, "1": NEUTRAL, "2": POSITIVE}}
DEV_ROWS = 10  # every tenth row of train is dev, where a corpus has no dev split


def splits(corpus: str, tokenizer: Tokenizer, longest: int) -> dict[str, list[list[Phrase]]]:
    """Returns train, dev and test; test is empty where a corpus has no such part."""
    found = {split: list(read(corpus, split, tokenizer, longest)) for split in CORPORA[corpus].files}
    if "dev" not in found:
        train = found["train"]
        found |= {"train": [row for i, row in enumerate(train) if i % DEV_ROWS], "dev": train[::DEV_ROWS]}
    return {"test": []} | found


def read(corpus: str, split: str, tokenizer: Tokenizer, longest: int) -> Iterator[list[Phrase]]:
    """Yields each text of a split, see `examples`."""
    return examples(corpus, corpora.read_table(corpus, split), tokenizer, longest)


def examples(
    corpus: str, rows: Iterable[Mapping[str, str]], tokenizer: Tokenizer, longest: int
) -> Iterator[list[Phrase]]:
    """Yields the texts of rows, see `shortened`; leaves out texts that are neither negative, neutral nor positive."""
    grades = GRADES.get(corpus, NAMED)
    for row in rows:
        text = html.unescape(html.unescape(row["text"])).replace("<br />", " ")
        tokens = shortened([token.text for token in tokenizer.tokens(text)], longest)
        if tokens and (grade := grades.get(row["label"])):
            yield [Phrase(tokens, grade)]


def statements(part: str, tokenizer: Tokenizer, count: int) -> dict[str, list[list[Phrase]]]:
    """Returns train and dev of sentences that state, ask or instruct, all taken as neutral; test is empty.

    Args:
        part: of a corpus, such as "kjv_sicp/sicp".
        count: of the sentences at most, chosen at random.
    """
    paragraphs = corpora.read(*part.split("/")).split("\n\n" if "sicp" in part else "\n")
    found = dict.fromkeys(running_text.sentences(paragraphs, tokenizer))
    rows = [[Phrase(tokens, NEUTRAL)] for tokens in sample(list(found), count, seed=0)]
    return {"train": [row for i, row in enumerate(rows) if i % DEV_ROWS], "dev": rows[::DEV_ROWS], "test": []}


def shortened(tokens: Sequence[str], longest: int) -> tuple[str, ...]:
    """Returns the tokens of a text, cut to `longest`: the first third from its beginning, the rest from its end."""
    if not longest or len(tokens) <= longest:
        return tuple(tokens)
    return (*tokens[: longest // 3], *tokens[longest // 3 - longest :])
