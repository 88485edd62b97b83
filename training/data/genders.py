"""Corrects the genders of German nouns by a lexicon, and of their articles and adjectives by the noun.

The train split of GSD that is published with UniMorph tags gives a noun another gender than most of its occurrences
have in 13 words of 100, dev and test in 3. The lexicon is the German Wiktionary's, in the package german-nouns.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from service.artifact.manifest import DataSource
from training.data.german_forms import DETERMINERS, PLURAL
from training.data.packages import Package
from training.data.treebank import Tree, Word, attributes, with_attributes

PACKAGE = Package("german-nouns", "1.2.5", "german_nouns", "of the German Wiktionary", "CC BY-SA 4.0")
TABLE = "nouns.csv"
GENDERS = {"m": "Masc", "f": "Fem", "n": "Neut"}
NOUN, NAME = "NOUN", "PROPN"
MAJORITY = 0.6  # of the occurrences of a word that the lexicon lacks
SHORTEST = 4  # letters of a compound's last part


@dataclass(frozen=True)
class GenderLexicon:
    """The genders of words. found: by NOUN or NAME, and by lemma; source: for the model card."""

    found: Mapping[str, Mapping[str, set[str]]]
    source: DataSource

    def genders(self, upos: str, lemma: str) -> set[str]:
        """Returns the genders that a word may have; of a noun that is not listed, its longest last part's."""
        listed = self.found[upos]
        if lemma in listed or upos == NAME:
            return listed.get(lemma, set())
        ends = (lemma[i:].lstrip("-") for i in range(1, len(lemma) - SHORTEST + 1))
        parts = (end[:1].upper() + end[1:] for end in ends if len(end) >= SHORTEST)
        return next((listed[part] for part in parts if part in listed), set())


def lexicon() -> GenderLexicon:
    """Returns the lexicon of the package. Raises ConfigurationError where it is not installed."""
    content, source = PACKAGE.read(TABLE)
    found: dict[str, defaultdict[str, set[str]]] = {NOUN: defaultdict(set), NAME: defaultdict(set)}
    for row in csv.DictReader(content.decode().split("\n")):
        genders = {GENDERS[cell] for name, cell in row.items() if name.startswith("genus") and cell in GENDERS}
        found[NAME if re.search("name|Toponym", row["pos"]) else NOUN][row["lemma"]] |= genders
    return GenderLexicon({upos: dict(words) for upos, words in found.items()}, source)


def corrected(trees: Sequence[Tree], native: Iterable[Tree], words: GenderLexicon) -> list[Tree]:
    """Returns sentences with other genders.

    Args:
        native: sentences with right genders; each counts as many times as it stands here.
    """
    counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for tree in (*trees, *native):
        for word in tree.words:
            if word.upos in words.found and (gender := attributes(word).get("Gender")):
                counts[word.upos, word.lemma][gender] += 1
    return [_corrected(tree, counts, words) for tree in trees]


def _corrected(tree: Tree, counts: Mapping[tuple[str, str], Counter[str]], words: GenderLexicon) -> Tree:
    found = [attributes(word) for word in tree.words]
    for i, word in enumerate(tree.words):
        own = found[i]
        if word.upos not in words.found or "Gender" not in own:
            continue
        place = own.get("Case"), own.get("Number")
        before = [j for j in _before(tree.words, i) if (found[j].get("Case"), found[j].get("Number")) == place]
        singular = own.get("Number") == "Sing"
        gender = _gender(word, own["Gender"], counts[word.upos, word.lemma], words.genders(word.upos, word.lemma))
        if singular and before and tree.words[before[-1]].upos == "DET":
            determiner = DETERMINERS.get(tree.words[before[-1]].form.lower())
            readings = determiner.readings if determiner else ()
            allowed = {g for case, g in readings if case == own.get("Case") and g != PLURAL}
            if allowed and gender not in allowed:
                gender = min(allowed) if len(allowed) == 1 and own["Gender"] not in allowed else own["Gender"]
        own["Gender"] = gender
        for j in before if singular else ():
            if "Gender" in found[j]:
                found[j]["Gender"] = gender
    return replace(tree, words=tuple(map(with_attributes, tree.words, found)))


def _gender(word: Word, given: str, counts: Counter[str], listed: set[str]) -> str:
    """Returns the gender of a noun or name. given: what it has now; counts: what its lemma has in all sentences."""
    if len(listed) == 1 and word.upos == NOUN:
        return min(listed)
    if given in listed:
        return given
    best, times = counts.most_common(1)[0]
    if counts.total() > 1 and times >= MAJORITY * counts.total():
        return best
    return min(listed) if len(listed) == 1 else given


def _before(words: Sequence[Word], i: int) -> list[int]:
    """Returns the adjectives and the determiner before a noun, from right to left."""
    found = []
    for j in range(i - 1, -1, -1):
        if words[j].upos not in ("ADJ", "DET", "ADV", "NUM"):
            break
        if words[j].upos in ("ADJ", "DET"):
            found.append(j)
        if words[j].upos == "DET":
            break
    return found
