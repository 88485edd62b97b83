"""The lemma rules of unlabelled text, the same for every occurrence of a word with the same tags.

A lemma depends on a word and its tags, hardly on the sentence, and a teacher, which reads word pieces, spells badly. So
the shares that it gives the lemmas of a word are added up over all occurrences, a lemma that is a word of the text or
of the treebank counts KNOWN times (of "restoring", "restore" rather than "restor"), and a word that the treebank has
with the same tags has the lemma that it has there.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from service.text.lemmatizer import LEMMA, finer_column
from training.data.dataset import Array
from training.tasks.tagging import Tagging
from training.tasks.tagging_batches import TEACHER_LABELS

KNOWN = 20.0  # factor of the share of a lemma that is a word of the text or of the treebank
UNCHANGED = 5.0  # factor of the share of a lemma that is the form itself


def agreeing(
    task: Tagging, sentences: Sequence[Sequence[str]], outputs: Mapping[str, Array], words: Collection[str]
) -> dict[str, Array]:
    """Returns lemma rules and shares for all words of sentences, which replace the teacher's.

    Args:
        outputs: the teacher's for each word, among them the ids of UPOS, finer tag and rules  # [N, TEACHER_LABELS].
        words: of the text, in lower case.

    Returns:
        `lemma`: [N, TEACHER_LABELS] int32, and `lemma_shares`: [N, TEACHER_LABELS] float32.
    """
    numbers: dict[str, int] = {}
    forms = np.array([numbers.setdefault(form, len(numbers)) for sentence in sentences for form in sentence])
    spelled = list(numbers)
    known = {*words, *task.lemmas_in_lower_case()}
    finer = finer_column(task.labels)
    sizes = len(task.labels["upos"]), len(task.labels[finer]), len(task.labels[LEMMA])
    keys = (forms * sizes[0] + outputs["upos"][:, 0]) * sizes[1] + outputs[finer][:, 0]
    groups, group_of_word = np.unique(keys, return_inverse=True)
    given = outputs[f"{LEMMA}_shares"] > 0
    pairs = (group_of_word[:, None] * sizes[2] + outputs[LEMMA])[given]
    pairs, places = np.unique(pairs, return_inverse=True)
    totals = np.bincount(places, weights=outputs[f"{LEMMA}_shares"][given])
    ends = np.searchsorted(pairs, np.arange(1, len(groups) + 1) * sizes[2])

    ids = np.zeros((len(groups), TEACHER_LABELS), np.int32)
    shares = np.zeros((len(groups), TEACHER_LABELS), np.float32)
    start = 0
    for group, (key, end) in enumerate(zip(groups.tolist(), ends.tolist(), strict=True)):
        (place, upos), tag = divmod(key // sizes[1], sizes[0]), task.labels[finer][key % sizes[1]]
        form, part = spelled[place], task.labels["upos"][upos]
        lemmas: defaultdict[str, float] = defaultdict(float)
        for pair, total in zip(pairs[start:end].tolist(), totals[start:end].tolist(), strict=True):
            if (lemma := task.lemma(form, part, tag, pair % sizes[2])) is not None:
                times = UNCHANGED if lemma.lower() == form.lower() else KNOWN if lemma.lower() in known else 1.0
                lemmas[lemma] += times * total
        start = end
        rules: defaultdict[int, float] = defaultdict(float)
        for lemma, share in lemmas.items():
            if (rule := task.rule_id(form, part, lemma)) is not None:
                rules[rule] += share / sum(lemmas.values())
        for i, rule in enumerate(sorted(rules, key=lambda rule: -rules[rule])[:TEACHER_LABELS]):
            ids[group, i], shares[group, i] = rule, rules[rule]
    return {LEMMA: ids[group_of_word], f"{LEMMA}_shares": shares[group_of_word]}
