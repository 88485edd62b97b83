"""Takes from sentences of another treebank of the language the tags that the treebank itself could have."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from training.data.treebank import NOTHING, UNLABELLED, Tree, Word

LEFT_OUT = {"upos": UNLABELLED, "feats": UNLABELLED, "lemma": NOTHING}  # what is in place of a column
COLUMNS = tuple(LEFT_OUT)
LEAST = 3  # words, from which on a form has only tags that it has been seen with


class Convention:
    """The tags, features and lemmas that the words of a treebank have.

    Args:
        trees: its sentences, each of which counts as many times as it stands here.
    """

    def __init__(self, trees: Iterable[Tree]) -> None:
        self._upos, self._feats, self._lemmas = (defaultdict[object, Counter[str]](Counter) for _ in range(3))
        self._features: set[tuple[str, str]] = set()
        for tree in trees:
            for word in tree.words:
                form = word.form.lower()
                self._upos[form][word.upos] += 1
                self._feats[form, word.upos][word.feats] += 1
                self._lemmas[form, word.upos][word.lemma] += 1
                self._features.add((word.upos, word.feats))

    def compatible(self, trees: Sequence[Tree], columns: Collection[str] = COLUMNS) -> list[Tree]:
        """Returns sentences of another treebank, without the tags that this one does not have.

        A form that it has three times or more keeps a tag that it has here, features are those of a word with the same
        tag, and a word whose tag is left out has none of the others.

        Args:
            columns: of COLUMNS; all others are left out.
        """
        return [replace(tree, words=tuple(self._compatible(w, columns) for w in tree.words)) for tree in trees]

    def _compatible(self, word: Word, columns: Collection[str]) -> Word:
        form = word.form.lower()
        upos = _may_be(self._upos[form], word.upos)
        fits = {
            "upos": upos,
            "feats": upos
            and (word.upos, word.feats) in self._features
            and _may_be(self._feats[form, word.upos], word.feats),
            "lemma": upos and _may_be(self._lemmas[form, word.upos], word.lemma),
        }
        return word._replace(**{c: absent for c, absent in LEFT_OUT.items() if c not in columns or not fits[c]})


def _may_be(found: Counter[str], tag: str) -> bool:
    return found.total() < LEAST or tag in found
