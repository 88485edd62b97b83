"""Pronouns that are written together with the verb before them: "donne-moi", "geht's", "ayudarte", "disse-lhe".

A treebank has few of all pairs of verb and pronoun. So its pronouns are learned behind other verbs, too; and where they
are not parts of the token, as "lhe" with its hyphen, the ends of such tokens are kept.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import cycle, islice, pairwise, product
from typing import NamedTuple

from service.text.segmenter import LONGEST_ENDING
from training.data.treebank import NOTHING, SurfaceToken, Tree, Word

PRONOUN, NAME, VERBS = "PRON", "PROPN", ("AUX", "VERB")
OTHER_VERBS = 30  # behind which each pronoun is learned
LEAST_OCCURRENCES = 2  # of a pronoun that is learned behind others
MARKS = "", ".", "!", ","  # behind them
LEAST_VERBS = 3  # that end alike, before a pronoun without a hyphen or an apostrophe
LEAST_RIGHT = 0.95  # of the different tokens with an ending


class Group(NamedTuple):
    """A verb and the pronouns that are written together with it, in lower case, as one token or several."""

    verb: str
    pronouns: tuple[str, ...]
    one_token: bool


def with_other_verbs(
    trees: Sequence[Tree], enclitics: Sequence[tuple[str, ...]], whole: Sequence[str]
) -> Iterator[Tree]:
    """Yields sentences of a verb and pronouns that a treebank has written together with other verbs, as parts.

    Args:
        enclitics: further pronouns of the language, one or two, tokens by themselves.
        whole: words that have an end as if a pronoun stood there, and are one token.
    """
    groups = [group for tree in trees for group in _groups(tree)]
    counts = Counter((group.pronouns, group.one_token) for group in groups)
    kinds = {kind for kind, count in counts.items() if count >= LEAST_OCCURRENCES}
    frequent = sorted(kinds | {(pronouns, False) for pronouns in enclitics})
    forms = Counter(word.form for tree in trees for word in tree.words if word.upos in VERBS and word.form.islower())
    verbs = [form for form, _ in forms.most_common()]
    before = defaultdict[str, set[str]](set)
    for group in groups:
        before[group.verb[-2:]].add(group.verb)
    like_them = [verb for verb in verbs if len(before[verb[-2:]]) >= LEAST_VERBS]
    for pronouns, one_token in frequent:
        chosen = like_them if pronouns[0][0].isalpha() else verbs
        some = chosen[:: max(1, len(chosen) // OTHER_VERBS)]
        for verb, (written, mark) in zip(some, cycle(product((str.lower, str.capitalize), MARKS)), strict=False):
            yield _sentence(written(verb), pronouns, one_token, mark)
    if enclitics:
        yield from _with_hyphens(trees, enclitics)
    for form, mark in product(whole, MARKS):
        yield _sentence(form, (), one_token=False, mark=mark)
        yield _sentence(form.capitalize(), (), one_token=False, mark=mark)


def _with_hyphens(trees: Sequence[Tree], enclitics: Sequence[tuple[str, ...]]) -> Iterator[Tree]:
    """Yields sentences of one word with hyphens: names with enclitics in them, "Bourg-le-Roi", and the treebank's."""
    words = [word for tree in trees for word in tree.words]
    names = [word.form for word in words if word.upos == NAME and word.form.isalpha()]
    pairs = islice(pairwise(names), OTHER_VERBS)
    for (first, second), enclitic in product(pairs, sorted({pronouns[0] for pronouns in enclitics})):
        yield _sentence(f"{first}{enclitic}-{second}", (), one_token=False)
    for form, mark in product(sorted({word.form for word in words if "-" in word.form[1:-1]}), MARKS):
        yield _sentence(form, (), one_token=False, mark=mark)


def endings(trees: Sequence[Tree]) -> dict[str, tuple[str, ...]]:
    """Returns the ends of tokens of a verb and pronouns that are not parts of them, and the words that they become.

    An end is what the token has after the letters that verb and token begin with. Its part before the pronouns counts
    with other pronouns, too: the "ándo" of "dejándose" in "dejándolo".
    """
    found: dict[str, tuple[str, ...]] = {}
    others: set[str] = set()
    for tree in trees:
        for token, words in _tokens(tree):
            form, parts = token.form.lower(), tuple(word.form.lower() for word in words)
            if "".join(parts) != form and words[0].upos in VERBS and all(w.upos == PRONOUN for w in words[1:]):
                found[form] = parts
            else:
                others.add(form)
    counts, ends = Counter[tuple[str, tuple[str, ...]]](), Counter[tuple[str, str]]()
    pronouns = {group.pronouns for tree in trees for group in _groups(tree)}
    for form, (verb, *rest) in found.items():
        together = "".join(rest)
        same = next((i for i, (own, other) in enumerate(zip(form, verb, strict=False)) if own != other), len(verb))
        if not 0 < same < len(form):
            continue
        counts[form[same:], (verb[same:], *rest)] += 1
        if form.endswith(together):
            ends[form[same : len(form) - len(together)], verb[same:]] += 1
            pronouns.add(tuple(rest))
    frequent = [end for end, count in ends.items() if count >= LEAST_VERBS]
    combined = {(own + "".join(rest), (word, *rest)): 0 for own, word in frequent for rest in pronouns}
    counts.update(combined)
    kept = {}
    for (ending, parts), count in sorted(counts.items(), key=lambda item: item[1]):
        enough = count >= LEAST_VERBS or not ending[0].isalpha() or (ending, parts) in combined
        right = count >= LEAST_RIGHT * (count + sum(form.endswith(ending) for form in others))
        if len(ending) <= LONGEST_ENDING and enough and right:
            kept[ending] = parts
    return kept


def _groups(tree: Tree) -> Iterator[Group]:
    """Yields verbs with pronouns that are parts of the text, written together."""
    verb, pronouns, one_token, joined = "", list[str](), False, False
    for token, words in _tokens(tree):
        are_parts = "".join(word.form for word in words) == token.form
        for i, word in enumerate(words):
            if verb and joined and are_parts and word.upos == PRONOUN:
                pronouns.append(word.form.lower())
                one_token = i > 0
            else:
                if pronouns:
                    yield Group(verb, tuple(pronouns), one_token)
                verb, pronouns = word.form.lower() if are_parts and word.upos in VERBS else "", []
            joined = i + 1 < len(words) or not token.space_after
    if pronouns:
        yield Group(verb, tuple(pronouns), one_token)


def _tokens(tree: Tree) -> Iterator[tuple[SurfaceToken, tuple[Word, ...]]]:
    """Yields the tokens of a sentence with their words."""
    first = 0
    for token in tree.tokens:
        yield token, tree.words[first : first + token.words]
        first += token.words


def _sentence(verb: str, pronouns: Sequence[str], one_token: bool, mark: str = "") -> Tree:
    """Returns a sentence of words that are written together, with a mark behind them or none."""
    forms = (verb, *pronouns)
    parts = [SurfaceToken("".join(forms), len(forms))] if one_token else [SurfaceToken(form) for form in forms]
    if mark:
        parts.append(SurfaceToken(mark))
    tokens = tuple(part._replace(space_after=part is parts[-1]) for part in parts)
    return Tree(tuple(Word(form, *3 * [NOTHING]) for form in (*forms, *filter(None, [mark]))), tokens=tokens)
