"""The lemmas of tagged words, where a lemmatizer has learnt the tags of the tagger."""

from collections.abc import Sequence

from service.api.call import Call
from service.tasks.lemmatization import OUTPUTS, Lemmatization
from service.tasks.tagging import Tag, Tagging
from service.text.lemmas import Inflected, symbols
from service.text.tokenizer import Sentence

WORDS_AT_ONCE = 1024  # of a request that wait in the queue, so that a long text of new words does not fill it


async def lemmas_of(
    call: Call, tagger: Tagging, sentences: Sequence[Sentence], tags: Sequence[Sequence[Tag]]
) -> list[list[str]] | None:
    """Returns the lemmas of the tokens of sentences, or None where there is no lemmatizer for the tagger."""
    task = call.here.catalog.lemmatizer(tagger)
    if task is None:
        return None
    found = [
        [task.known(token.text, tag) for token, tag in zip(sentence.tokens, row, strict=True)]
        for sentence, row in zip(sentences, tags, strict=True)
    ]
    asked = dict.fromkeys(lemma for row in found for lemma in row if isinstance(lemma, Inflected))
    answers = await ask(call, task, list(asked)) if asked else {}
    return [[answers[lemma] if isinstance(lemma, Inflected) else lemma for lemma in row] for row in found]


async def ask(call: Call, task: Lemmatization, words: Sequence[Inflected]) -> dict[Inflected, str]:
    """Returns the lemmas of words that are new, from the engine."""
    answers = {word: word.form for word in words}
    short = [word for word in words if len(symbols(word)) <= task.longest]
    for start in range(0, len(short), WORDS_AT_ONCE):
        some = short[start : start + WORDS_AT_ONCE]
        outputs = await call.infer(task.version, [[task.encode(word)] for word in some], OUTPUTS)
        answers |= {word: task.decode(word, output) for word, (output,) in zip(some, outputs, strict=True)}
    return answers
