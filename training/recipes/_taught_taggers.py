"""Taggers of further languages, taught by a multilingual transformer that labels sentences to read aloud."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from service.text.languages import tokenizer_name
from training.data import corpora, dutch, genders, german, lexical, lexicon, swedish, treebank
from training.data.catalogue import CORPORA
from training.data.related import COLUMNS, Convention
from training.data.splits import without_overlap
from training.data.treebank import NOTHING, Tree
from training.models.segmenter import SENTENCES, TOKENS
from training.models.tagger import TaggerSizes
from training.tasks.recipe import TeacherSettings
from training.tasks.tagging import Sources, TaggingRecipe

TOGETHER = ("ancora", "bosque", "ddt", "gsd_de", "gsd_fr", "lassysmall", "markit", "sequoia", "talbanken")
TUNED = (
    "Its teacher is tuned on nine treebanks of eight languages at once, one transformer with heads for each. That of "
    "the first version was, too, and the taggers of all were trained side by side, with these settings, by a program "
    "for a GPU that read train parts that are not mapped twice."
)
TUNED_ALONE = "Its teacher is tuned on its treebank alone."
MAPPED = (
    "Its train part is made of the lemmas and UniMorph tags that SIGMORPHON 2018 and 2019 published "
    "(training/data/mapping.py), by linear models that have learned from dev; of the words of test that are published "
    "so as well, {} agree with the treebank."
)

DUTCH = "nl"
OLDER_DUTCH = "lassysmall_2017"  # the same sentences, with the relations that mark expressions and names
WRITTEN = {"everyday": 15, "prose": 5}
WRITTEN_ONCE_TAUGHT = {"everyday": 8, "prose": 3}  # by a teacher that has read them, too
TAUGHT_TOGETHER = TeacherSettings(
    encoder="multilingual",
    epochs=7,
    batch_pieces=5000,
    encoder_rate=1.5e-4,
    unlabelled_tokens=300_000,
    together=TOGETHER,
)
TAUGHT_ALONE = TeacherSettings(  # on a processor without a GPU
    encoder="multilingual", epochs=6, batch_pieces=1400, encoder_rate=1e-4, unlabelled_tokens=400_000
)
RELATED = "It has also learned from {}, as far as its own treebank could have the tags."


@dataclass(frozen=True, kw_only=True)
class TaughtTaggingRecipe(TaggingRecipe):
    """Settings of a tagger without XPOS.

    Attributes:
        of_dev: sentences at the start of dev that are learned from, where train is mapped; dev is the rest. Features
            that words have wherever they stand are corrected by them in train (`training.data.lexical`).
        native: how often each of them, and of the sentences of `related`, is read in an epoch.
        corrected: whether train is corrected as CORRECTED says for the language.
        related: the corpus of another treebank of the language, which is learned from as far as this one could have its
            tags (`training.data.related`).
        related_columns: what is learned from it.
    """

    of_dev: int = 0
    native: int = 1
    corrected: bool = False
    related: str = ""
    related_columns: tuple[str, ...] = COLUMNS

    def splits(self, *, measured: bool = False) -> tuple[dict[str, list[Tree]], Sources]:
        """As of other taggers, without XPOS."""
        splits, sources = super().splits(measured=measured)
        return {split: [_without_xpos(tree) for tree in trees] for split, trees in splits.items()}, sources

    def prepared(self, splits: dict[str, list[Tree]], *, measured: bool) -> tuple[dict[str, list[Tree]], Sources]:
        """Returns the splits, with what is learned from of dev and of the other treebank.

        Of a version that is measured, train is not corrected, which takes a lexicon.
        """
        splits, _ = without_overlap(splits, lambda tree: tree.forms)
        sources: Sources = ()
        train, learned = splits["train"], splits["dev"][: self.of_dev]
        splits["dev"] = splits["dev"][self.of_dev :]
        if learned and not measured:
            train = lexical.corrected(train, learned)
        learned *= self.native
        if self.corrected and not measured:
            train, sources = CORRECTED[self.language](train, learned)
        splits["train"] = train + learned
        if self.related and not measured:
            splits["train"] += self._compatible(splits) * self.native
            sources = (*sources, *corpora.sources(self.related))
        return splits, sources

    def _compatible(self, splits: Mapping[str, Sequence[Tree]]) -> list[Tree]:
        """Returns the sentences of the other treebank that dev and test lack, with the tags that are learned."""
        measured = {tree.forms for split in ("dev", "test") for tree in splits[split]}
        texts = [corpora.read(self.related, file) for file in CORPORA[self.related].files]
        others = [tree for text in texts for tree in treebank.read(text) if tree.forms not in measured]
        if self.language == DUTCH:
            others = dutch.marked(others, texts)
        return Convention(splits["train"]).compatible(others, self.related_columns)


def _german(train: Sequence[Tree], native: Sequence[Tree]) -> tuple[list[Tree], Sources]:
    words = genders.lexicon()
    return german.corrected(train, native, words), (words.source,)


def _dutch(train: Sequence[Tree], native: Sequence[Tree]) -> tuple[list[Tree], Sources]:
    return dutch.marked(train, [corpora.read(OLDER_DUTCH, "train")]), corpora.sources(OLDER_DUTCH)


def _swedish(train: Sequence[Tree], native: Sequence[Tree]) -> tuple[list[Tree], Sources]:
    lemmas, source = lexicon.forms_of_spacy("sv")
    return swedish.corrected(train, lemmas), (source,)


# What a train split that is mapped has otherwise than dev and test, by language: from train and the treebank's own
# sentences, each as often as it is read, to train as corrected, and what that takes besides.
CORRECTED = {"de": _german, DUTCH: _dutch, "sv": _swedish}


def _without_xpos(tree: Tree) -> Tree:
    return replace(tree, words=tuple(word._replace(xpos=NOTHING) for word in tree.words))


def _recipe(
    tag: str,
    language: str,
    corpus: str,
    text: str,
    agreement: str = "",
    of_dev: int = 0,
    native: int = 1,
    corrected: bool = False,
    related: str = "",
    related_columns: tuple[str, ...] = COLUMNS,
    spacy_lemmas: bool = True,
    teaching: TeacherSettings = TAUGHT_TOGETHER,
) -> TaughtTaggingRecipe:
    """Returns a recipe. text: what the treebank has; agreement: of a train split that is mapped, with test."""
    mapped = [MAPPED.format(agreement)] if agreement else []
    others = [RELATED.format(CORPORA[related].title)] if related else []
    tuned, written = (TUNED, WRITTEN) if teaching.together else (TUNED_ALONE, WRITTEN_ONCE_TAUGHT)
    return TaughtTaggingRecipe(
        name=f"tagger-{tag}",
        description=f"Tags {language} words with universal parts of speech, features and lemmas",
        language=tag,
        licence=CORPORA[corpus].licence,
        limits=" ".join([f"Measured on its treebank alone, {text}.", *mapped, *others, tuned]),
        corpus=corpus,
        of_dev=of_dev,
        native=native,
        corrected=corrected,
        related=related,
        related_columns=related_columns,
        written=written,
        tokenizer=tokenizer_name(tag),
        segmentation=(TOKENS, SENTENCES),
        lemmas=True,
        spacy_lemmas=spacy_lemmas,
        epochs=11,
        batch_tokens=1600,
        learning_rate=2.5e-3,
        weight_decay=0.01,
        averaging=0.999,
        characters=16,
        word_count=2,
        restyled=1.0,
        restyled_text=0.3,
        common_sizes=True,
        teacher=f"tagger-{tag}",
        teaching=replace(teaching, text=f"common_voice_{tag}"),
        distillation_tokens=teaching.unlabelled_tokens,
        sizes=TaggerSizes(
            word_embedding=100,
            character_units=50,
            affix_embedding=24,
            units=200,
            input_dropout=0.25,
            output_dropout=0.4,
        ),
    )


RECIPES = {
    recipe.name: recipe
    for recipe in (
        _recipe(
            "da",
            "Danish",
            "ddt",
            "texts of 1983 to 1992",
            "99.23 % of UPOS, 99.32 of features, 100.00 of lemmas",
            of_dev=451,
            native=3,
        ),
        _recipe(
            "de",
            "German",
            "gsd_de",
            "news, reviews and Wikipedia",
            "96.92 % of UPOS, 93.60 of features, 99.21 of lemmas",
            of_dev=639,
            native=3,
            corrected=True,
            related="pud_de",
            related_columns=("feats",),
        ),
        _recipe(
            "es",
            "Spanish",
            "ancora",
            "news",
            "99.67 % of UPOS, 98.78 of features, 99.98 of lemmas",
            of_dev=1488,
            native=3,
        ),
        _recipe(
            "nl",
            "Dutch",
            "lassysmall",
            "Wikipedia",
            "97.52 % of UPOS, 97.49 of features, 94.01 of lemmas",
            of_dev=1388,
            native=2,
            corrected=True,
            related="alpino",
        ),
        _recipe("pt", "Portuguese", "bosque", "news of Portugal and Brazil", spacy_lemmas=False, teaching=TAUGHT_ALONE),
        _recipe(
            "sv",
            "Swedish",
            "talbanken",
            "prose of the 1970s",
            "99.16 % of UPOS, 97.58 of features, 98.48 of lemmas",
            of_dev=403,
            native=3,
            corrected=True,
        ),
    )
}
ONLY_READ = (
    _recipe("fr", "French", "gsd_fr", "news, reviews and Wikipedia"),
    _recipe("fr", "French", "sequoia", "news, minutes, Wikipedia and medicine"),
    _recipe("it", "Italian", "markit", "essays of students"),
)
BY_CORPUS = {recipe.corpus: recipe for recipe in (*RECIPES.values(), *ONLY_READ)}
