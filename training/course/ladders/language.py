"""Language, from counting characters to the model that is shipped, on 250 000 characters of Tiny Shakespeare."""

from training.course.ladders import Ladder, Rung
from training.course.models.counted import MarkovChainSizes
from training.models.language_model import LanguageModelSizes
from training.recipes import lm_shakespeare
from training.tasks.language_modelling import LanguageModelRecipe

counted = Rung(
    "markov-chain",
    "The next character by the last two, counted",
    LanguageModelRecipe(
        name="language-markov-chain",
        description="A rung of the ladder of language models",
        language="en",
        licence="MIT",
        limits="Made to be compared with the rungs beside it.",
        corpus="tinyshakespeare",
        epochs=0,
        batch_tokens=1024,
        chunk=32,
        learning_rate=2e-3,
        schedule="plateau",
        patience=3,
        clip_norm=1.0,
        limit=250_000,
        shipped=False,
        sizes=MarkovChainSizes(order=2),
    ),
)
simple = counted.then(
    "simple",
    "A simple RNN",
    network=LanguageModelSizes(cell="simple", units=256, inner_dropout=0.0, output_dropout=0.0),
    epochs=30,
)
lstm = simple.then("lstm", "An LSTM in the place of the simple RNN", sizes={"cell": "lstm"})
stacked = lstm.then("stacked", "A second layer", sizes={"layers": 2})
dropout = stacked.then(
    "dropout", "Dropout between the layers and above them", sizes={"inner_dropout": 0.2, "output_dropout": 0.2}
)
shipped = dropout.shipped(lm_shakespeare.recipe)

LADDER = Ladder((counted, simple, lstm, stacked, dropout, shipped))
