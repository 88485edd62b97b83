"""Words read by a bidirectional GRU and as pairs, on all phrases of the Stanford Sentiment Treebank."""

from training.models.sentiment import SentimentSizes
from training.tasks.recipe import TeacherSettings
from training.tasks.sentiment import SentimentRecipe

recipe = SentimentRecipe(
    name="sentiment-en",
    description="Tells whether an English text is negative, neutral or positive",
    language="en",
    licence="MIT",
    limits="Learnt from sentences of film reviews. Other subjects work where they are praised and blamed in the same "
    "words. Irony, comparisons and what a reader must know are often lost.",
    corpus="sst",
    epochs=4,
    teacher="sentiment-en",
    teaching=TeacherSettings(  # an epoch has each sentence in ten phrases
        epochs=1, unlabelled_tokens=1_700_000, recombined_tokens=1_400_000
    ),
    distillation_tokens=4_000_000,
    word_count=3,
    batch_tokens=600,
    learning_rate=1e-3,
    clip_norm=1.0,
    averaging=0.9995,
    sizes=SentimentSizes(embedding=300, units=128, input_dropout=0.25, output_dropout=0.25),
)
