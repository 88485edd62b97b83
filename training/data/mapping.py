"""Maps lemmas and UniMorph tags to the lemmas, UPOS and features of a treebank.

It learns from the sentences of dev that are published with UniMorph tags as well: a linear model of each attribute, by
the tags, lemmas and forms of a word and its neighbours, and a table of lemmas. All is done in integers, so that the
result is the same on every machine.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from training.data.dataset import Array
from training.data.treebank import NOTHING, Tree, read
from training.data.unimorph import SEPARATOR, UNTOLD, Contractions, UnimorphSentence, conllu
from training.data.unimorph import read as read_tagged

UPOS = "UPOS"
EPOCHS = 8
LEAST = 5  # words of a tag and UPOS, from which on these have only features that they have been seen with
EDGE = "<edge>"
Attributes: TypeAlias = Mapping[str, str]  # name: value; names that a word lacks are left out
Hints: TypeAlias = Mapping[tuple[str, ...], Sequence[str]]  # forms of a sentence: a tag of each word
Pair: TypeAlias = tuple[UnimorphSentence, Tree]  # the same sentence in both annotations


class Agreement(NamedTuple):
    """How many of `words` words are mapped as the treebank has them, in per cent."""

    words: int
    upos: float
    feats: float
    lemmas: float

    def __str__(self) -> str:
        return f"{self.upos:.2f} % of UPOS, {self.feats:.2f} of features, {self.lemmas:.2f} of lemmas"


def train_part(
    tagged: Iterable[str], older: Iterable[str], contractions: Contractions, dev: str, test: str
) -> tuple[str, Agreement]:
    """Returns a train split in CoNLL-U, without sentences of dev and test, and the agreement of its mapping on test.

    Args:
        tagged: files with UniMorph tags; of a sentence in several of them, the first is used.
        older: files of an older version of the treebank, whose tags are read as well.
        contractions: words that the tagged files have as one, and the treebank as several.
        dev: of the treebank, from which the mapping is learned.
        test: of the treebank, from which nothing is learned.
    """
    sentences: dict[tuple[str, ...], UnimorphSentence] = {}
    for content in tagged:
        for sentence in read_tagged(content, contractions):
            found = sentences.setdefault(sentence.forms, sentence)
            if sentence.whole and not found.whole:
                sentences[sentence.forms] = sentence
    trees = {split: {tree.forms: tree for tree in read(text)} for split, text in (("dev", dev), ("test", test))}
    pairs = {split: [(sentences[f], tree) for f, tree in own.items() if f in sentences] for split, own in trees.items()}
    mapper = Mapper(pairs["dev"], {t.forms: _joined(t) for text in older for t in read(text)})
    left = (s for forms, s in sentences.items() if s.whole and not any(forms in own for own in trees.values()))
    return "".join(conllu(sentence, mapper.map(sentence)) for sentence in left), mapper.agreement(pairs["test"])


class Mapper:
    """Maps the words of a sentence.

    Args:
        pairs: sentences with both annotations.
        hints: a further annotation of some sentences.
    """

    def __init__(self, pairs: Sequence[Pair], hints: Hints) -> None:
        self._hints = hints
        rows, upos, feats = [], [], []
        seen: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        lemmas: defaultdict[tuple[str, str, str], Counter[str]] = defaultdict(Counter)
        for sentence, tree in pairs:
            for own, features, word in zip(sentence.words, self._features(sentence), tree.words, strict=True):
                if own.tag != UNTOLD:
                    rows.append(features)
                    upos.append(word.upos)
                    feats.append(_attributes(word.feats))
                    lemmas[own.form.lower(), own.lemma, word.upos][word.lemma] += 1
                    seen[own.tag, word.upos][word.feats] += 1
        self._allowed = {key: list(map(_attributes, found)) for key, found in seen.items() if found.total() >= LEAST}
        self._lemmas = {key: min(found, key=lambda lemma: (-found[lemma], lemma)) for key, found in lemmas.items()}
        self._upos = Perceptron(rows, [{UPOS: tag} for tag in upos])
        self._feats = Perceptron(list(map(_with_upos, rows, upos)), feats)

    def map(self, sentence: UnimorphSentence) -> list[tuple[str, str, str]]:
        """Returns the lemma, UPOS and features of each word."""
        found = []
        for word, features in zip(sentence.words, self._features(sentence), strict=True):
            upos = self._upos.predict(features)[UPOS]
            feats = self._feats.predict(_with_upos(features, upos), self._allowed.get((word.tag, upos)))
            joined = "|".join(f"{name}={feats[name]}" for name in sorted(feats, key=str.lower)) or NOTHING
            found.append((self._lemmas.get((word.form.lower(), word.lemma, upos), word.lemma), upos, joined))
        return found

    def agreement(self, pairs: Iterable[Pair]) -> Agreement:
        """Measures the mapping on sentences that it has not learned from."""
        right, count = np.zeros(3), 0
        for sentence, tree in pairs:
            for own, (lemma, upos, feats), word in zip(sentence.words, self.map(sentence), tree.words, strict=True):
                if own.tag != UNTOLD:
                    right += upos == word.upos, feats == word.feats, lemma == word.lemma
                    count += 1
        return Agreement(count, *(100 * right / max(count, 1)).tolist())

    def _features(self, sentence: UnimorphSentence) -> list[list[str]]:
        """Returns what the models read of each word."""
        hints = self._hints.get(sentence.forms, [EDGE] * len(sentence.words))
        tag = [EDGE, EDGE, *(word.tag for word in sentence.words), EDGE, EDGE]
        form = [EDGE, EDGE, *(word.form.lower() for word in sentence.words), EDGE, EDGE]
        lemma = [EDGE, EDGE, *(word.lemma for word in sentence.words), EDGE, EDGE]
        hint = [EDGE, EDGE, *hints, EDGE, EDGE]
        verbs = [i for i, found in enumerate(tag) if "V" in found.split(SEPARATOR)]
        rows = []
        for i, word in enumerate(sentence.words, start=2):
            later = next((tag[j] for j in verbs if j > i), EDGE)
            shape = "".join(
                "X" if c.isupper() else "x" if c.isalpha() else "9" if c.isdigit() else c for c in word.form
            )
            own = (tag[i], form[i], lemma[i], f"{tag[i]} {form[i]}", f"{tag[i]} {lemma[i]}", f"{tag[i]} {form[i][-3:]}",
                   form[i][-2:], form[i][-4:], shape[:6], i == 2, word.form == word.lemma)  # fmt: skip
            near = (tag[i - 1], tag[i + 1], form[i - 1], form[i + 1], lemma[i - 1], lemma[i + 1],
                    form[i - 1][-2:], form[i + 1][-2:], tag[i - 2], tag[i + 2])  # fmt: skip
            pairs = (f"{tag[i - 1]} {tag[i + 1]}", f"{tag[i - 1]} {lemma[i]} {tag[i + 1]}", f"{lemma[i]} {later}",
                     *(f"{lemma[i]} {other}" for other in (form[i - 1], form[i + 1], tag[i - 1], tag[i + 1], tag[i - 2],
                                                           tag[i + 2])),
                     *(f"{tag[i]} {other}" for other in (tag[i - 1], tag[i + 1])))  # fmt: skip
            hinted = (hint[i], f"{hint[i]} {tag[i]}", f"{hint[i]} {lemma[i]}", hint[i - 1], hint[i + 1])
            found = [*own, *near, *pairs, *(hinted if self._hints else ())]
            rows.append([*(f"{k} {x}" for k, x in enumerate(found)), *(f"has {x}" for x in tag[i].split(SEPARATOR))])
        return rows


class Perceptron:
    """Averaged perceptrons (Collins 2002), one for each attribute; an attribute may be absent.

    Args:
        rows: the features of each example.
        wanted: the attributes of each example.
    """

    def __init__(self, rows: Sequence[Sequence[str]], wanted: Sequence[Attributes]) -> None:
        self._columns: dict[str, int] = {}
        for row in rows:
            for feature in row:
                self._columns.setdefault(feature, len(self._columns))
        names = sorted({name for attributes in wanted for name in attributes})
        values = {name: sorted({found.get(name, "") for found in wanted}) for name in names}
        ends = np.cumsum([len(values[name]) for name in names]).tolist()
        self._slices = [(name, end - len(values[name]), values[name]) for name, end in zip(names, ends, strict=True)]
        self._weights = np.zeros((len(self._columns), ends[-1] if ends else 0), np.int64)
        self._train([self._known(row) for row in rows], wanted)

    def _train(self, rows: Sequence[Array], wanted: Sequence[Attributes]) -> None:
        late = np.zeros_like(self._weights)  # each change times the steps before it
        step, rng = 0, np.random.default_rng(0)
        targets = [[values.index(found.get(name, "")) for name, _, values in self._slices] for found in wanted]
        for _ in range(EPOCHS):
            for i in rng.permutation(len(rows)).tolist():
                step += 1
                scores = self._weights[rows[i]].sum(0)
                for target, (_, start, values) in zip(targets[i], self._slices, strict=True):
                    best = int(scores[start : start + len(values)].argmax())
                    if best != target:
                        for column, sign in ((start + target, 1), (start + best, -1)):
                            self._weights[rows[i], column] += sign
                            late[rows[i], column] += sign * step
        self._weights = self._weights * (step + 1) - late

    def _known(self, row: Iterable[str]) -> Array:
        """Returns the rows of the weights of features."""
        return np.array([self._columns[feature] for feature in row if feature in self._columns], int)

    def predict(self, row: Iterable[str], allowed: Sequence[Attributes] | None = None) -> Attributes:
        """Returns the attributes of an example that are not absent: the best, or the best allowed ones."""
        scores = self._weights[self._known(row)].sum(0)
        if allowed:
            return max(
                allowed, key=lambda a: sum(int(scores[start + v.index(a.get(n, ""))]) for n, start, v in self._slices)
            )
        best = {name: values[scores[start : start + len(values)].argmax()] for name, start, values in self._slices}
        return {name: value for name, value in best.items() if value}


def _joined(tree: Tree) -> list[str]:
    return [f"{word.upos} {word.xpos} {word.feats}" for word in tree.words]


def _attributes(feats: str) -> dict[str, str]:
    return {} if feats == NOTHING else {name: value for name, _, value in (f.partition("=") for f in feats.split("|"))}


def _with_upos(features: Sequence[str], upos: str) -> list[str]:
    return [*features, upos, *(f"{upos} {feature}" for feature in features)]
