"""Takes from sentences of another treebank of the language the tags that the treebank itself could have."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from training.data.treebank import NOTHING, UNLABELLED, Tree, Word

LEFT_OUT = {"upos": UNLABELLED, "xpos": UNLABELLED, "feats": UNLABELLED, "lemma": NOTHING}  # in place of a tag
COLUMNS = tuple(LEFT_OUT)
LEAST = 3  # words, from which on a form has only tags that it has been seen with


class Convention:
    """The tags, features and lemmas that the words of a treebank have.

    Args:
        trees: its sentences; each counts as many times as it stands here.
    """

    def __init__(self, trees: Iterable[Tree]) -> None:
        self._of_forms = defaultdict[tuple[str, ...], Counter[str]](Counter)
        self._tags: set[tuple[str, ...]] = set()
        for tree in trees:
            for word in tree.words:
                for column in COLUMNS:
                    self._of_forms[_form(word, column)][getattr(word, column)] += 1
                    self._tags.add(_tag(word, column))
        tagged = {column for column, *_, tag in self._tags if tag != NOTHING}
        self._empty = {column: NOTHING for column in COLUMNS if column not in tagged}

    def compatible(self, trees: Sequence[Tree], columns: Collection[str] = COLUMNS) -> list[Tree]:
        """Returns sentences of another treebank, without the tags that this one does not have.

        A word keeps a tag that this treebank has, and features and XPOS that it has with the same UPOS; where its form
        occurs here three times or more, those of that form alone, and of its lemmas as well. A word whose UPOS is left
        out has none of the others. A column that is "_" throughout here is so there, too.

        Args:
            columns: of COLUMNS; all others are left out.
        """
        return [replace(tree, words=tuple(self._compatible(w, columns) for w in tree.words)) for tree in trees]

    def _compatible(self, word: Word, columns: Collection[str]) -> Word:
        word = word._replace(**self._empty)
        fitting = [c for c in COLUMNS if c in columns and self._fits(word, c)] if self._fits(word, "upos") else ()
        left_out = LEFT_OUT | self._empty
        return word._replace(**{column: left_out[column] for column in COLUMNS if column not in fitting})

    def _fits(self, word: Word, column: str) -> bool:
        found = self._of_forms.get(_form(word, column), Counter())
        may_have = column == "lemma" or _tag(word, column) in self._tags
        return may_have and (found.total() < LEAST or getattr(word, column) in found)


def _form(word: Word, column: str) -> tuple[str, ...]:
    """Returns what has the same tags of a column: a form, or a form with its UPOS."""
    form = word.form.lower()
    return (column, form) if column == "upos" else (column, form, word.upos)


def _tag(word: Word, column: str) -> tuple[str, ...]:
    """Returns a tag of a column; of another than UPOS with the UPOS that it stands with."""
    return (column, word.upos) if column == "upos" else (column, word.upos, getattr(word, column))
