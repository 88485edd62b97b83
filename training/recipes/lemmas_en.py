"""English: a character encoder–decoder with attention, behind a dictionary, on the English Web Treebank."""

from training.tasks.lemmatization import LemmatizationRecipe

recipe = LemmatizationRecipe(
    name="lemmas-en",
    description="Gives the lemmas of English words, by their spelling and their tags",
    language="en",
    licence="CC BY-SA 4.0",
    limits="Trained on weblogs, newsgroups, e-mails, reviews and questions of 2001 to 2011. It follows that treebank: "
    'names keep their capitals, numbers lose their commas, "n\'t" is "not". It sees a word and its tags, not the '
    'sentence: "\'s" is "be" even where it stands for "has".',
    corpus="ewt",
    tagger="tagger-en",
    epochs=20,
    batch_tokens=1000,
    learning_rate=2e-3,
    averaging=0.999,
)
