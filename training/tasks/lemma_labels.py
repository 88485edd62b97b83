"""The lemma rules of a treebank as labels of its words."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from service.text.lemma_rules import CASINGS, IRREGULAR, LOWER
from service.text.lemmatizer import ANY_TAG, RULES_TRIED
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

    Args:
        lemmas: of the lexicon, by form and UPOS.
        rules: of each form, the most probable ones.
        unsure: forms that are returned in any case.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for form, tried in rules.items():
        by_rules = next(filter(None, (lemmatizer.by_rule(form, rule) for rule in tried)), form)
        for upos, lemma in lemmas[form].items():
            if lemma != by_rules or form in unsure:
                found.setdefault(upos, {}).setdefault(labels_of(form, lemma)[0], []).append(form)
    return found


def irregular(
    lemmatizer: LearnedLemmatizer, lemmas: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[TaggedWord, str]]:
    """Yields the words of a lexicon, except names, whose rule few others of their UPOS have: "fled" of "flee".

    In a sentence, a regular rule is often more probable. Words that the dictionary has with this UPOS are left out.
    Arguments as of `exceptions`.
    """
    by_rule: defaultdict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    counts = Counter[str]()
    for form, own in lemmas.items():
        for upos, lemma in own.items():
            by_rule[upos, labels_of(form, lemma)[0]].append((form, lemma))
            counts[upos] += 1
    for (upos, label), words in by_rule.items():
        if len(words) < RARE * counts[upos] and label.startswith((LOWER, IRREGULAR)):
            yield from (
                (TaggedWord(form, upos, ANY_TAG), lemma) for form, lemma in words if not lemmatizer.knows(form, upos)
            )


def _names(words: Sequence[Word]) -> frozenset[str]:
    """Returns the parts of speech whose words with capitals keep them in their lemmas, except one in twenty."""
    capitals: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for word in words:
        if word.form != word.form.lower():
            capitals[word.upos] += 1
            kept[word.upos] += word.lemma != word.lemma.lower()
    return frozenset(upos for upos, count in capitals.items() if kept[upos] >= KEPT_CAPITALS * count)
