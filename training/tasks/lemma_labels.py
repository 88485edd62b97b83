"""The lemma rules of a treebank as labels of its words."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from service.text.lemmatizer import CASINGS, LOWER, RULES_TRIED
from training.data.dataset import Array
from training.data.lexicon import Lexicon
from training.data.treebank import NOTHING, UNLABELLED, Tree, Word
from training.models.lemmatizer import LearnedLemmatizer, TaggedWord, labels_of

LEAST_RULE = 3  # words of the train split that have a lemma rule
RARE = 0.001  # the share of a lexicon's words of a UPOS below which a rule is irregular
KEPT_CAPITALS = 0.95  # share of the words of a part of speech that are names


class LemmaLabels:
    """Chooses the rule of each word, and the rules that are labels.

    Attributes:
        labels: the rules of at least LEAST_RULE words, the most frequent first; () without lemmas.
    """

    def __init__(self, trees: Iterable[Tree]) -> None:
        words = [word for tree in trees for word in tree.words if word.lemma != NOTHING]
        self._names = _names(words)
        counts = Counter(self.rule(word.form, word.upos, word.lemma) for word in words)
        frequent = (rule for rule, n in counts.items() if n >= LEAST_RULE)
        self.labels = tuple(sorted(frequent, key=lambda rule: (-counts[rule], rule)))

    def rule(self, form: str, upos: str, lemma: str) -> str:
        """Returns the rule that makes a lemma of a form; of several, which differ in casing, one without cuts.

        Of names, whose capitals stay, it is not the one in lower case: "lisa" is a name that stays as it is.
        """

        def order(label: str) -> tuple[bool, bool]:
            return label not in CASINGS, upos in self._names and label.startswith(LOWER)

        return min(labels_of(form, lemma), key=order)


def most_probable(rules: Array) -> list[int]:
    """Returns the most probable rules of a word that are tried. rules: the probability of each, shape [K]."""
    best: list[int] = np.argsort(-rules, kind="stable")[:RULES_TRIED].tolist()
    return best


def lemmas_by_form(lexicon: Lexicon, tags: Collection[str]) -> dict[str, dict[str, str]]:
    """Returns the lemmas of a lexicon by form and UPOS. Its kinds are parts of speech in any case, "verb" for VERB."""
    found: dict[str, dict[str, str]] = {}
    for (form, kind), lemma in lexicon.lemmas.items():
        if (upos := kind.upper()) in tags:
            found.setdefault(form, {})[upos] = lemma
    return found


def words_with_lemmas(trees: Iterable[Tree], finer: str) -> Iterator[tuple[TaggedWord, str]]:
    """Yields each word that has tags and a lemma, with the lemma. finer: the column of the finer tag."""
    for tree in trees:
        for word in tree.words:
            tagged = TaggedWord(word.form, word.upos, getattr(word, finer))
            if word.lemma != NOTHING and UNLABELLED not in tagged:
                yield tagged, word.lemma


def exceptions(
    lemmatizer: LearnedLemmatizer,
    lemmas: Mapping[str, Mapping[str, str]],
    rules: Mapping[str, list[int]],
    unsure: Collection[str],
) -> dict[str, dict[str, list[str]]]:
    """Returns the forms whose lemma in a lexicon is not what their rules make, by UPOS and the rule for that lemma.

    Irregular ones are returned in any case: in a sentence, a regular rule may be more probable.

    Args:
        lemmas: of the lexicon, by form and UPOS.
        rules: of each form, the most probable ones.
        unsure: other forms that are returned in any case.
    """
    found: dict[str, dict[str, list[str]]] = {}
    by_label = {upos: defaultdict[str, list[str]](list) for upos in {upos for own in lemmas.values() for upos in own}}
    for form in rules:
        for upos, lemma in lemmas[form].items():
            by_label[upos][labels_of(form, lemma)[0]].append(form)
    for upos, of_labels in by_label.items():
        rare = RARE * sum(map(len, of_labels.values()))
        for label, forms in of_labels.items():
            for form in forms:
                made = (lemmatizer.by_rule(form, rule) for rule in rules[form])
                if len(forms) < rare or form in unsure or lemmas[form][upos] != next(filter(None, made), form):
                    found.setdefault(upos, {}).setdefault(label, []).append(form)
    return found


def _names(words: Sequence[Word]) -> frozenset[str]:
    """Returns the parts of speech whose words with capitals keep them in their lemmas, but for one in twenty."""
    capitals: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for word in words:
        if word.form != word.form.lower():
            capitals[word.upos] += 1
            kept[word.upos] += word.lemma != word.lemma.lower()
    return frozenset(upos for upos, count in capitals.items() if kept[upos] >= KEPT_CAPITALS * count)
