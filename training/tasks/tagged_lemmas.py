"""The lemmas of tagged words, and what a lemmatizer learns of lemmas that it does not find."""

from collections.abc import Iterable, Mapping

from service.text.lemmatizer import Lemmatizer, odds
from training.data.dataset import Array
from training.data.treebank import NOTHING, Word
from training.metrics.raw_text import Tags
from training.models.lemma_weights import LemmaChoice, learn_weights
from training.models.lemmatizer import LearnedLemmatizer
from training.tasks.lemma_labels import exceptions, irregular, most_probable

MOST_UNSURE = 40_000  # words that are listed although the network finds their lemmas; some 15 bytes each in the file
SURE = 0.9  # the probability of a rule of a word that is read alone; in a sentence, another rule may be more probable


def with_lemmas(
    lemmatizer: Lemmatizer, finer: str, forms: Iterable[str], tags: Iterable[Tags], rules: Iterable[Array]
) -> list[Tags]:
    """Returns the tags of words with their lemmas.

    Args:
        finer: the column of the finer tag.
        rules: the probability of each rule for a word, shape [K].
    """
    found = []
    for form, own, row in zip(forms, tags, rules, strict=True):
        lemma = lemmatizer.lemma(form, own.upos, getattr(own, finer), most_probable(row), odds(float(row.max())))
        found.append(own._replace(lemma=lemma))
    return found


def with_exceptions(
    lemmatizer: LearnedLemmatizer, lemmas: Mapping[str, Mapping[str, str]], rules: Mapping[str, Array]
) -> LearnedLemmatizer:
    """Returns the lemmatizer with the lemmas of a lexicon that the network, with a word alone, does not surely find.

    The lemmas of irregular words are in its dictionary.

    Args:
        lemmas: by form and UPOS.
        rules: of each form, the probability of each rule, shape [K].
    """
    tried = {form: most_probable(row) for form, row in rules.items()}
    probabilities = {form: float(row.max()) for form, row in rules.items()}
    least_sure = sorted(probabilities, key=lambda form: (probabilities[form], form))[:MOST_UNSURE]
    unsure = frozenset(form for form in least_sure if probabilities[form] < SURE)
    listed = lemmatizer.with_lexicon(exceptions(lemmatizer, lemmas, tried, unsure))
    return listed.with_words(irregular(lemmatizer, lemmas))


def with_weights(
    lemmatizer: LearnedLemmatizer, finer: str, words: Iterable[Word], tags: Iterable[Tags], rules: Iterable[Array]
) -> LearnedLemmatizer:
    """Returns the lemmatizer with weights learned of which of its candidates a word's lemma is.

    The words are of dev: of train, the network knows all words too well. Arguments as of `with_lemmas`.
    """
    choices = []
    for word, own, row in zip(words, tags, rules, strict=True):
        if word.lemma == NOTHING or lemmatizer.find(word.form, own.upos, getattr(own, finer)):
            continue
        candidates = lemmatizer.candidates(word.form, own.upos, most_probable(row), odds(float(row.max())))
        if word.lemma in candidates:
            choices.append(LemmaChoice(list(candidates.values()), list(candidates).index(word.lemma)))
    return lemmatizer.with_weights(learn_weights(choices))
