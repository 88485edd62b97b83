"""A lemmatizer of one's own treebank."""

from rich.console import Console

from training.data.files import DataFileError, source
from training.data.lexicon import Lexicon
from training.data.treebank import NOTHING, Tree
from training.from_files.budget import training_budget
from training.from_files.options import Options, check_name
from training.from_files.report import show_budget
from training.models.encoder_decoder import EncoderDecoderSizes
from training.tasks.lemmatization import Lemmatization, LemmatizationRecipe, inflected

LEAST_WORDS = 30
SIZES = EncoderDecoderSizes()
SYMBOLS_PER_SECOND = 20_000  # on a core


def lemmatization(
    options: Options, name: str, splits: dict[str, list[Tree]], lexicon: Lexicon | None, console: Console
) -> Lemmatization:
    """Returns the task of giving the lemmas of a treebank, as a model called `name`. Raises DataFileError."""
    check_name("--lemmatizer", name)
    words = {inflected(word): word for tree in splits["train"] for word in tree.words if word.lemma != NOTHING}
    if len(words) < LEAST_WORDS:
        right = f"{LEAST_WORDS} at least, or no --lemmatizer"
        raise DataFileError(options.files["train"], None, f"{len(words)} different words with a lemma", right)
    symbols = sum(len(word.form) + 3 for word in words) * (2 if lexicon and lexicon.lemmas else 1)
    data = [source(path, options.licence) for path in options.files.values()]
    if lexicon and lexicon.lemmas:
        # By another name than in the tagger: a tagger of another treebank with this lexicon has another lemmatizer.
        data.append(lexicon.source.model_copy(update={"name": f"{lexicon.source.name}, lemmas"}))
    budget = training_budget(len(words), symbols, SYMBOLS_PER_SECOND, least=2, most=20, quick=options.quick)
    recipe = LemmatizationRecipe(
        name=name,
        description=f"Gives the lemmas of words of the language {options.language!r}, by their spelling and their tags",
        language=options.language,
        licence=options.licence,
        limits="It sees a word and its tags, not the sentence. Its lemmas are those of the treebank it was made of.",
        corpus=", ".join(part.sha256[:12] for part in data),
        tagger=options.name,
        seed=options.seed,
        epochs=budget.epochs,
        batch_tokens=1000,
        learning_rate=2e-3,
        averaging=0.999,
        sizes=SIZES,
    )
    show_budget(console, f"{len(words):,} different words", recipe, budget.seconds)
    return Lemmatization(recipe, splits, tuple(data), lexicon=lexicon)
