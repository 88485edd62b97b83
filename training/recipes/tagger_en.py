"""English: words and characters read by BiLSTMs, four heads, on the English Web Treebank."""

from training.models.segmenter import SENTENCES
from training.models.tagger import TaggerSizes
from training.tasks.recipe import TeacherSettings
from training.tasks.tagging import TaggingRecipe

recipe = TaggingRecipe(
    name="tagger-en",
    description="Tags English words with universal parts of speech, Penn Treebank tags, features and lemmas",
    language="en",
    licence="CC BY-SA 4.0",
    limits="Trained on weblogs, newsgroups, e-mails, reviews and questions of 2001 to 2011. It takes words as that "
    "treebank splits them, and is surer of words that it knows: see the figures of unknown words. Other domains, "
    "dialects and languages are not measured.",
    corpus="ewt",
    tokenizer="spacy-en",
    segmentation=(SENTENCES,),
    lemmas=True,
    lemminflect=True,
    epochs=16,
    teacher="tagger-en",
    teaching=TeacherSettings(
        count=3, unlabelled_tokens=6_600_000, further_text=("masc", "goemotions", "common_voice", "dialogue")
    ),
    distillation_tokens=1_100_000,
    written={"everyday": 5, "prose": 3},
    word_count=5,
    batch_tokens=800,
    learning_rate=2.3e-3,
    averaging=0.999,
    word_dropout=4.0,
    sizes=TaggerSizes(
        word_embedding=256, units=288, character_units=96, input_dropout=0.25, output_dropout=0.4, affix_embedding=16
    ),
)
