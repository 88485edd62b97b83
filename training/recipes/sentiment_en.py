"""Words read by a bidirectional GRU and as pairs, on phrases of film reviews and on texts of many kinds."""

from dataclasses import replace

from training.models.sentiment import SentimentSizes
from training.tasks.recipe import TeacherSettings
from training.tasks.sentiment import SentimentRecipe

recipe = SentimentRecipe(
    name="sentiment-en",
    description="Tells whether an English text is negative, neutral or positive",
    language="en",
    licence="MIT",
    limits="Learnt from film reviews, comments, posts of programmers, product reviews, news and everyday sentences. "
    "Opinions that are only implied, irony and comparisons are often lost. Of news, it has learnt the sentiment "
    "towards a person.",
    corpus="sst",
    further={
        "goemotions": 2.0,
        "senti4sd": 4.0,
        "product_reviews": 1.0,
        "pros_cons": 0.5,
        "newsmtsc": 0.3,
        "everyday": 6.0,
    },
    statements={"kjv_sicp/sicp": 8000, "dialogue/snips": 3000, "dialogue/clinc150": 6000},
    shift=0.8,
    longest=60,
    epochs=7,
    teacher="sentiment-en",
    teaching=TeacherSettings(
        count=3,
        epochs=2,
        batch_pieces=4096,
        unlabelled_tokens=6_000_000,
        further_text=("masc", "common_voice", "dialogue"),
        recombined_tokens=1_400_000,
    ),
    distillation_tokens=5_000_000,
    word_count=4,
    batch_tokens=1200,
    learning_rate=1.4e-3,
    clip_norm=1.0,
    averaging=0.9995,
    sizes=SentimentSizes(embedding=300, units=128, input_dropout=0.25, output_dropout=0.25),
)
treebank_recipe = replace(recipe, further={}, statements={}, shift=0.0, longest=0)
