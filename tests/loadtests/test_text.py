"""The running text of the load."""

import random
from collections import Counter
from itertools import islice

from loadtests.text import TIMES_EWT, WORD, endless_text, ewt_lengths, running_text


def test_there_are_as_many_sentences_of_each_length_as_in_ewt():
    lengths = ewt_lengths()
    assert (sum(lengths.values()), sum(n * number for n, number in lengths.items())) == (2077, 25094)  # EWT r2.16
    assert Counter(sentence.words for sentence in running_text()) == {n: TIMES_EWT * m for n, m in lengths.items()}


def test_new_words_never_end():
    texts = endless_text(random.Random(2))
    seen = {word for text in islice(texts, 2 * len(running_text())) for word in WORD.findall(text)}
    words = [word for text in islice(texts, len(running_text())) for word in WORD.findall(text)]
    new = sum(word not in seen for word in words) / sum(sentence.words for sentence in running_text())
    assert 0.02 < new < 0.06, "as in running text: EWT's train part has 4.8 % words that occur once"
