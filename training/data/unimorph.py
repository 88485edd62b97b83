"""Reads sentences with lemmas and UniMorph tags, as SIGMORPHON 2018 and 2019 published them of treebanks.

Those of 2019 are CoNLL-U with the tag in place of the features, and with their text; those of 2018 have three columns,
form, lemma and tag, and no text (McCarthy et al. 2018, Marrying Universal Dependencies and Universal Morphology).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from training.data.treebank import NOTHING, SurfaceToken

SEPARATOR = ";"  # of the attributes of a tag
UNTOLD = "?"  # the tag of a word that had to be guessed in the shared task of 2018
MOST_WORDS = 5  # of a multiword token
_TEXT = re.compile(r"^# text = (.*)$", re.MULTILINE)
_NAME = re.compile(r"^# sent_id = (.*)$", re.MULTILINE)
_LETTERS = re.compile(r"[^\W_]+")


class UnimorphWord(NamedTuple):
    """A word with its lemma and its UniMorph tag, whose attributes are sorted; "_" is none."""

    form: str
    lemma: str
    tag: str


Contractions: TypeAlias = Mapping[str, Sequence[UnimorphWord]]  # a word in lower case: the words that it stands for


class UnimorphSentence(NamedTuple):
    """A sentence as it is published. text: None where it is not known."""

    words: tuple[UnimorphWord, ...]
    name: str = ""
    text: str | None = None

    @property
    def forms(self) -> tuple[str, ...]:
        return tuple(word.form for word in self.words)

    @property
    def whole(self) -> bool:
        """Whether the tags of all words are told."""
        return all(word.tag != UNTOLD for word in self.words)


def read(content: str, contractions: Contractions) -> Iterator[UnimorphSentence]:
    """Yields the sentences of a file, with the words that a contraction stands for."""
    for block in re.split(r"\n\n+", content.strip("\n")):
        rows = [line.split("\t") for line in block.split("\n") if line and not line.startswith("#")]
        columns = (0, 1, 2) if len(rows[0]) == 3 else (1, 2, 5)
        words: list[UnimorphWord] = []
        for row in rows:
            if len(row) != 3 and not row[0].isdecimal():
                continue  # an empty node
            form, lemma, tag = (row[i] for i in columns)
            tag = UNTOLD if len(row) == 3 and tag == NOTHING else SEPARATOR.join(sorted(tag.split(SEPARATOR)))
            words += _words(UnimorphWord(form, lemma, tag), contractions)
        name, text = _NAME.search(block), _TEXT.search(block)
        yield UnimorphSentence(tuple(words), name[1] if name else "", text[1] if text else None)


def _words(word: UnimorphWord, contractions: Contractions) -> Sequence[UnimorphWord]:
    """Returns the words that a word stands for, in its case."""
    words = contractions.get(word.form.lower())
    if words is None:
        return (word,)
    first = words[0].form.upper() if word.form.isupper() else word.form[0] + words[0].form[1:]
    return words[0]._replace(form=first), *words[1:]


def tokens(forms: Sequence[str], text: str) -> tuple[SurfaceToken, ...] | None:
    """Returns the tokens of a text, given its words: a multiword token where letters of two words meet.

    Returns None where the words differ from the text.
    """
    found: list[SurfaceToken] = []
    place = i = 0
    while i < len(forms):
        if (token := _token(forms[i:], text[place:])) is None:
            return None
        end = place + len(token.form)
        place = end + len(text[end:]) - len(text[end:].lstrip())
        found.append(token._replace(space_after=place > end or place == len(text)))
        i += token.words
    return tuple(found) if place == len(text) else None


def _token(forms: Sequence[str], text: str) -> SurfaceToken | None:
    """Returns the first token of a text that begins with these words; None where it does not."""
    form, rest = forms[0], text[len(forms[0]) :]
    if text.startswith(form) and not (form[-1].isalpha() and rest[:1].isalpha() and forms[1:]):
        return SurfaceToken(form)
    run = _LETTERS.match(text)
    for count in range(2, 1 + min(MOST_WORDS, len(forms)) if run else 0):
        after = text[run.end() :].lstrip() if run else ""
        if after.startswith(forms[count]) if forms[count:] else not after:
            return SurfaceToken(text[: run.end()], count) if run else None
    return SurfaceToken(form) if text.startswith(form) else None


def conllu(sentence: UnimorphSentence, tags: Sequence[tuple[str, str, str]]) -> str:
    """Returns a sentence in CoNLL-U. tags: the lemma, UPOS and features of each word."""
    surface = tokens(sentence.forms, sentence.text) if sentence.text else None
    lines = [f"# sent_id = {sentence.name}"] if sentence.name else []
    lines.append(f"# text = {sentence.text}" if surface else "# spacing = unknown")
    number = 0
    for token in surface or map(SurfaceToken, sentence.forms):
        spacing = NOTHING if token.space_after else "SpaceAfter=No"
        if token.words > 1:
            lines.append(_line(f"{number + 1}-{number + token.words}", token.form, misc=spacing))
        for _ in range(token.words):
            lemma, upos, feats = tags[number]
            number += 1
            misc = spacing if token.words == 1 else NOTHING
            lines.append(_line(str(number), sentence.words[number - 1].form, lemma, upos, feats, misc))
    return "\n".join(lines) + "\n\n"


def _line(
    number: str, form: str, lemma: str = NOTHING, upos: str = NOTHING, feats: str = NOTHING, misc: str = NOTHING
) -> str:
    return "\t".join((number, form, lemma, upos, NOTHING, feats, NOTHING, NOTHING, NOTHING, misc))
