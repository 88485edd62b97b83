"""Learns from a treebank how text is split into tokens, words and sentences: see `service.text.segmenter`.

Each decision is a logistic regression, trained in seconds. Read et al. (2012), "Sentence boundary detection: a long
solved problem?", compare such classifiers with rules.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate, chain, groupby, pairwise
from operator import itemgetter
from typing import NamedTuple, Self

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression

from service.text.interruptible import finish
from service.text.segmenter import Classifier, PossibleEnds, Segmenter, boundary_features, choice_features
from service.text.sentences import learned_ends, rule_ends
from service.text.tokenizer import Tokenizer
from service.text.tokens import SentenceSpan, TokenSpan
from training.data.known_forms import KnownForms
from training.data.treebank import Tree, in_normal_form, raw_text
from training.models.pronouns import endings, with_other_verbs

TOKENS, SENTENCES = "tokens", "sentences"  # what can be learned
NOTHING_KNOWN = KnownForms()
TERMINATORS = ("!", "?")
LEAST_ENDS = 150  # sentences that end with each of these
NAME = "Q\u0101"  # no treebank has it
NAMES_APART = 20  # words in lower case
NAMES_WORTH = 0.02
MOST_APART = 2  # places where an abbreviation is split, which may be errors
MOST_EQUAL = 30  # chunks that are split alike count no more often
LONGEST_CHUNK = 256  # characters; longer ones are not learned from
LEAST_COUNT = 2  # of a feature
LEAST_WEIGHT = 0.02
DECIMALS = 3  # of a weight
LEAST_CHOICES = 3  # occurrences of a token as one word, and as several, for a classifier
BOUNDARY_COST, CHOICE_COST = 0.5, 0.3  # the inverse of the strength of regularisation
END_COSTS = (0.3, 1.0, 3.0)
END_SHIFTS = (-0.4, 0.0, 0.4, 0.8)  # of the bias

Decision = tuple[Sequence[str], bool]  # features, decision


class GoldToken(NamedTuple):
    """A token of a text as its treebank has it, and its words if they are not substrings of the text."""

    token: TokenSpan
    words: tuple[str, ...] = ()


class Split(NamedTuple):
    """A text, and the tokens of its sentences as they stand in it."""

    text: str
    sentences: list[list[GoldToken]]

    @classmethod
    def of(cls, trees: Iterable[Tree]) -> Self:
        """Returns the text of a treebank, in its normal form."""
        text, sentences = raw_text(map(in_normal_form, trees))
        return cls(text, [gold_tokens(text, sentence) for sentence in sentences])

    @property
    def tokens(self) -> list[TokenSpan]:
        """The tokens of all sentences."""
        return [gold.token for sentence in self.sentences for gold in sentence]

    @property
    def ends(self) -> list[int]:
        """The index after the last token of each sentence."""
        return list(accumulate(map(len, self.sentences)))


def learn(
    train: Iterable[Tree],
    dev: Iterable[Tree],
    rules: Tokenizer,
    what: Collection[str],
    known: KnownForms = NOTHING_KNOWN,
) -> Segmenter:
    """Returns the segmenter that a treebank shows, beyond the rules of its language.

    Args:
        train, dev: in the order of their text.
        what: TOKENS, with which multiword tokens are learned, SENTENCES, or both.
        known: forms of the language.
    """
    trees = list(map(in_normal_form, train))
    with_terminators = [*trees, *_with_other_terminators(trees)]
    split = Split.of(with_terminators)
    kept = _kept(known.abbreviations, split) if TOKENS in what else {}
    ends = _ends(split, Split.of(dev), kept) if SENTENCES in what else None
    if TOKENS not in what:
        return Segmenter(ends=ends)
    boundaries = _boundaries(
        Split.of([*with_terminators, *with_other_verbs(trees, known.enclitics, known.whole)]), rules
    )
    multiwords, choices = _multiwords(split.sentences)
    forms = {token.text.lower() for token in split.tokens}
    multiwords |= {form: words for form, words in known.multiwords.items() if form not in forms}
    return Segmenter(*boundaries, ends, multiwords, choices, {**known.endings, **endings(trees)}, kept)


def _with_other_terminators(trees: Sequence[Tree]) -> Iterator[Tree]:
    """Yields sentences with a question or exclamation mark in place of their full stop, so that LEAST_ENDS end with it.

    News hardly has any.
    """
    last = Counter(tree.words[-1].form for tree in trees)
    marks = [mark for mark in TERMINATORS for _ in range(last[mark], LEAST_ENDS)]
    with_full_stop = [tree for tree in trees if tree.words[-1].form == "."]
    step = max(1, len(with_full_stop) // max(1, len(marks)))
    for tree, mark in zip(with_full_stop[::step], marks, strict=False):
        words = (*tree.words[:-1], tree.words[-1]._replace(form=mark))
        yield replace(tree, words=words, tokens=(*tree.tokens[:-1], *(t._replace(form=mark) for t in tree.tokens[-1:])))


def _kept(abbreviations: Mapping[str, bool], split: Split) -> dict[str, bool]:
    """Returns the abbreviations that a treebank does not split, and whether a sentence may end after each.

    It may where the treebank has one that ends so. Such abbreviations are not to be split at the end of a sentence,
    either. Numbers count together.
    """
    whole, apart, last = Counter[str](), Counter[tuple[str, bool]](), set[str]()
    for sentence in split.sentences:
        texts = [_without_digits(gold.token.text.lower()) for gold in sentence]
        whole.update(texts)
        apart.update((f"{text}.", i == len(texts) - 2) for i, text in enumerate(texts) if texts[i + 1 : i + 2] == ["."])
        last.add(texts[-1])
    kept = {}
    for one, ends in abbreviations.items():
        kind = _without_digits(one)
        if apart[kind, False] <= max(whole[kind], MOST_APART) and not (ends and apart[kind, True] > whole[kind]):
            kept[one] = ends or kind in last
    return kept


def _without_digits(text: str) -> str:
    """Returns a text with one digit in place of each number, in which those are alike."""
    return re.sub(r"\d+", "0", text)


def gold_tokens(text: str, sentence: SentenceSpan) -> list[GoldToken]:
    """Returns the tokens of a sentence as they stand in the text."""
    tokens = []
    for (start, end), words in groupby(sentence.tokens, key=lambda word: (word.start, word.end)):
        first, *others = words
        token = TokenSpan(text[start:end], start, end, first.continues)
        tokens.append(GoldToken(token, tuple(word.text for word in (first, *others)) if others else ()))
    return tokens


def _boundaries(split: Split, rules: Tokenizer) -> tuple[Classifier | None, Classifier | None]:
    """Returns the classifiers of splits within chunks, and of those within multiword tokens."""
    starts = {token.start: token.continues for token in split.tokens}
    equal: Counter[tuple[str, tuple[int, ...]]] = Counter()
    boundaries: list[Decision] = []
    continuations: list[Decision] = []
    for match in rules.chunk(split.text).finditer(split.text):
        chunk, start = match.group(), match.start()
        drawn = tuple(i for i in range(1, len(chunk)) if start + i in starts)
        equal[chunk, drawn] += 1
        if equal[chunk, drawn] > MOST_EQUAL or len(chunk) > LONGEST_CHUNK:
            continue
        ruled = frozenset(token.start for token in rules.tokens(chunk))
        for i, features in enumerate(boundary_features(chunk, ruled), start=1):
            boundaries.append((features, i in drawn))
            if i in drawn:
                continuations.append((features, starts[start + i]))
    return fit(boundaries, BOUNDARY_COST), fit(continuations, BOUNDARY_COST)


def _ends(train: Split, dev: Split, abbreviations: Mapping[str, bool]) -> Classifier | None:
    """Returns the classifier of the ends of sentences that is best on dev: its cost, its threshold, and with names.

    Names may cost NAMES_WORTH of F1 there: treebanks join headlines to other sentences, which texts seldom do.
    """
    ends, tokens = train.ends, train.tokens
    examples = [(features, i == ends[bisect_left(ends, i)]) for i, features in _possible(train, tokens)]
    found: list[tuple[float, Classifier]] = []
    for names, worth in ((_before_names(train), NAMES_WORTH), ([], 0.0)):
        for one in filter(None, (fit(examples + names, cost) for cost in END_COSTS)):
            moved = [Classifier(round(one.bias + shift, DECIMALS), one.weights) for shift in END_SHIFTS]
            found += [(_right_sentences(classifier, dev, abbreviations) + worth, classifier) for classifier in moved]
    return max(found, key=itemgetter(0), default=(0.0, None))[1]


def _possible(split: Split, tokens: Sequence[TokenSpan]) -> Iterator[tuple[int, list[str]]]:
    """Yields the places where a sentence may end, as the indices of the tokens after them, with their features."""
    possible = PossibleEnds(split.text, tokens, set(finish(rule_ends(split.text, tokens))))
    ends = split.ends
    for i in possible.indices:
        sentence = bisect_left(ends, i)
        yield i, possible.features(i, ends[sentence - 1] if sentence else 0)


def _before_names(split: Split) -> list[Decision]:
    """Returns places within sentences as if a name, any name, stood after them, where no sentence ends.

    A treebank has few names, and headlines without a full stop before a capital letter. Words before others in lower
    case show as well that no sentence ends after them.
    """
    tokens, first = list(split.tokens), {0, *split.ends}
    lower = [i for i, token in enumerate(tokens) if token.text[0].islower() and i not in first and not token.continues]
    places = set(lower[::NAMES_APART])
    for i in places:
        tokens[i] = tokens[i]._replace(text=NAME)
    found = ((i, [one for one in features if NAME.lower() not in one]) for i, features in _possible(split, tokens))
    return [(features, False) for i, features in found if i in places]


def _right_sentences(classifier: Classifier, split: Split, abbreviations: Mapping[str, bool]) -> float:
    """Returns the F1 of the sentences that a classifier makes of the tokens of a split."""
    found = finish(learned_ends(split.text, split.tokens, classifier, abbreviations))
    gold, own = ({*pairwise([0, *ends])} for ends in (split.ends, found))
    return 2 * len(gold & own) / (len(gold) + len(own))


def _multiwords(sentences: Iterable[Sequence[GoldToken]]) -> tuple[dict[str, tuple[str, ...]], dict[str, Classifier]]:
    """Returns the words of multiword tokens, and classifiers for the tokens that are a single word elsewhere."""
    words: dict[str, Counter[tuple[str, ...]]] = {}
    examples: dict[str, list[Decision]] = {}
    for sentence in sentences:
        tokens = [gold.token for gold in sentence]
        for i, gold in enumerate(sentence):
            form = gold.token.text.lower()
            words.setdefault(form, Counter())[tuple(word.lower() for word in gold.words)] += 1
            examples.setdefault(form, []).append((choice_features(tokens, i), bool(gold.words)))
    multiwords, choices = {}, {}
    for form, counts in sorted(words.items()):
        single = counts.pop((), 0)
        if not counts:
            continue
        decided = min(single, counts.total()) >= LEAST_CHOICES and fit(examples[form], CHOICE_COST)
        if decided or counts.total() > single:
            multiwords[form] = counts.most_common(1)[0][0]
        if decided:
            choices[form] = decided
    return multiwords, choices


def fit(examples: Sequence[Decision], cost: float) -> Classifier | None:
    """Trains a logistic regression; returns None where the examples show but one decision."""
    decisions = np.array([decision for _, decision in examples], bool)
    if len(set(decisions.tolist())) < 2:
        return None
    counts = Counter(feature for features, _ in examples for feature in features)
    ids = {feature: i for i, feature in enumerate(f for f, n in counts.items() if n >= LEAST_COUNT)}
    rows = [[ids[feature] for feature in features if feature in ids] for features, _ in examples]
    ends = np.cumsum([0, *map(len, rows)])
    columns = np.fromiter(chain.from_iterable(rows), np.int32, int(ends[-1]))
    matrix = csr_matrix((np.ones(len(columns), np.float32), columns, ends), (len(rows), len(ids)))
    model = LogisticRegression(C=cost, solver="liblinear", max_iter=300).fit(matrix, decisions)
    weights = zip(ids, model.coef_[0].tolist(), strict=True)
    kept = {feature: round(weight, DECIMALS) for feature, weight in weights if abs(weight) >= LEAST_WEIGHT}
    return Classifier(round(float(model.intercept_[0]), DECIMALS), kept)
