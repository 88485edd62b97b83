"""The most frequent tag of each word."""

from training.models.counted import MostFrequentTagSizes
from training.tasks.tagging import TaggingRecipe

recipe = TaggingRecipe(
    name="tagging-most-frequent",
    description="A rung of the ladder of taggers",
    language="en",
    licence="CC BY-SA 4.0",
    limits="Made to be compared with the rungs beside it.",
    corpus="ewt",
    tokenizer="spacy-en",
    word_count=1,
    epochs=0,
    batch_tokens=400,
    learning_rate=2e-3,
    sizes=MostFrequentTagSizes(),
)
