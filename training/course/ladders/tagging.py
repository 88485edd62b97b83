"""Tagging, from counting to the model that is shipped, on 3000 sentences of the English Web Treebank."""

from training.course.ladders import Ladder, Rung
from training.course.models.counted import MostFrequentTagSizes
from training.course.models.word_tagger import WordTaggerSizes
from training.recipes import tagger_en
from training.tasks.tagging import TaggingRecipe

counted = Rung(
    "most-frequent",
    "The most frequent tag of each word",
    TaggingRecipe(
        name="tagging-most-frequent",
        description="A rung of the ladder of taggers",
        language="en",
        licence="CC BY-SA 4.0",
        limits="Made to be compared with the rungs beside it.",
        corpus="ewt",
        tokenizer="spacy-en",
        word_count=1,
        epochs=0,
        batch_tokens=800,
        learning_rate=2e-3,
        schedule="plateau",
        patience=3,
        limit=3000,
        shipped=False,
        sizes=MostFrequentTagSizes(),
    ),
)
feed_forward = counted.then(
    "feed-forward",
    "A feed-forward layer over each word and the four to its left",
    network=WordTaggerSizes(cell="", window=5),
    word_count=2,
    epochs=30,
)
window = feed_forward.then(
    "window", "A simple RNN in the place of the layer, unrolled statically", sizes={"cell": "simple"}
)
sentence = window.then("sentence", "The whole sentence to the left, unrolled dynamically", sizes={"window": 0})
gru = sentence.then("gru", "A GRU in the place of the simple RNN", sizes={"cell": "gru"})
lstm = sentence.then("lstm", "An LSTM in the place of the simple RNN", sizes={"cell": "lstm"})
learned_state = lstm.then("learned-state", "A learned initial state", sizes={"learned_state": True})
bidirectional = lstm.then("bidirectional", "The sentence to the right, too", sizes={"directions": 2})
characters = bidirectional.then("characters", "The characters of each word", sizes={"spelling": 48})
stacked = characters.then("stacked", "A second layer", sizes={"layers": 2})
dropout = characters.then("dropout", "Dropout of the layer's inputs and outputs", sizes={"dropout": 0.3})
vectors = dropout.then("vectors", "Words begin as a pretrained transformer's vectors", teacher="sentiment-en")
shipped = dropout.shipped(tagger_en.recipe)

LADDER = Ladder(
    (
        counted,
        feed_forward,
        window,
        sentence,
        gru,
        lstm,
        learned_state,
        bidirectional,
        characters,
        stacked,
        dropout,
        vectors,
        shipped,
    ),
    seeds=5,
)
