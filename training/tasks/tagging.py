"""Tagging the words of sentences with UPOS, XPOS, features and lemma rules, on a treebank of Universal Dependencies."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import ops

from service.artifact.manifest import DataSource, Metric
from service.errors import ConfigurationError
from service.text.languages import make_tokenizer, named_tokenizer, primary
from service.text.lemmatizer import LEMMA, finer_column
from service.text.normalization import normalize_form
from service.text.tokenizer import Tokenizer
from service.text.vocabulary import Vocabulary, encode_characters, encode_tokens
from training.cells import Tensor
from training.data import corpora, treebank
from training.data.buckets import best_buckets
from training.data.dataset import IGNORED, Array, Batches, Example, Examples, bucketed, of_lengths
from training.data.distillation import DistillationSet
from training.data.known_forms import known_forms
from training.data.lexicon import Lexicon, lemmas_of_spacy, of_lemminflect
from training.data.running_text import CASES
from training.data.treebank import NOTHING
from training.data.vocabularies import counted
from training.metrics import raw_text
from training.metrics.calibration import label_temperature
from training.metrics.predictions import Predictions
from training.metrics.scores import ALL_TAGS, LEMMAS, tagging_accuracy, word_accuracy
from training.models.common_sizes import common_buckets, common_labels, most_frequent, padded
from training.models.lemmatizer import learn as learn_lemmatizer
from training.models.segmenter import learn
from training.models.tagger import Tagger, TaggerSizes
from training.models.word_classes import WordClasses
from training.tasks.base import Counted, Predict, Recipe, ServedTask, State, predict_all
from training.tasks.endpoints import EndpointFunction, Tensors
from training.tasks.lemma_labels import LemmaLabels, lemmas_by_form, words_with_lemmas
from training.tasks.losses import label_cross_entropy
from training.tasks.rewritten_rules import RewrittenRules
from training.tasks.tagged_lemmas import with_exceptions, with_lemmas, with_weights
from training.tasks.tagging_batches import drawn_cases, restyled, with_dropped_words, with_shares, word_dropout
from training.tasks.tagging_endpoints import served_endpoints, tagging_endpoint

FEATURES = "feats"  # the labels of words that are several attributes in one
HEADS = {"upos": "UPOS", "xpos": "XPOS", FEATURES: "UFeats"}  # column -> the name of its metric
UNSEEN = -2  # the target where a label does not occur in the train split: no prediction equals it
BUCKETS = 16
EMBEDDING_SCALE = 0.1
GOLDEN_LENGTHS = (1, 2, 3, 5, 8, 13, 21, 34)
Sources = tuple[DataSource, ...]


@dataclass(frozen=True, kw_only=True)
class TaggingRecipe(Recipe):
    """Settings of a tagger.

    Attributes:
        corpus: of training.data.corpora, with train, dev and test in CoNLL-U.
        tokenizer: the service's tokenizer for this model.
        segmentation: what the tokenizer learns of the treebank: see `training.models.segmenter`.
        characters: the most characters of a word that are read, C.
        word_count: the least occurrences of a word in the vocabulary.
        lemmas: whether lemma rules are learned, if the treebank has lemmas.
        lemminflect, spacy_lemmas: whether the lemmas of the package lemminflect, in English, or of spacy-lookups-data
            are kept that the network does not find.
        distillation_tokens: tokens of the distillation set per epoch, in addition to the train split.
        word_dropout: a, where a word of n occurrences becomes UNK with the probability a / (a + n) (Kiperwasser and
            Goldberg 2016).
        label_smoothing: the share of the probability of a label that goes to all labels alike.
        restyled: the share of the sentences of the train split that each epoch reads once more, in lower case, in
            capitals, or with a capital at the start of each word.
        restyled_text: the share of the distillation set's sentences that each epoch reads so and not as they are, with
            the teacher's answers to the sentence as it is.
        chosen_by: the metric on dev that selects the best epoch.
        written: how often each sentence of the parts of the treebank that was written for this project in this language
            is read in an epoch.
        common_sizes: whether the model is exported with the sizes of `training.models.common_sizes`, so that a service
            compiles it together with others; further labels than these, the rarest, are not learned.
    """

    corpus: str
    tokenizer: str
    segmentation: tuple[str, ...] = ()
    characters: int = 12
    word_count: int = 2
    word_dropout: float = 1.0
    label_smoothing: float = 0.0
    restyled: float = 0.0
    restyled_text: float = 0.0
    chosen_by: str = ALL_TAGS
    lemmas: bool = False
    lemminflect: bool = False
    spacy_lemmas: bool = False
    distillation_tokens: int = 0
    written: Mapping[str, int] = field(default_factory=dict)
    common_sizes: bool = False
    sizes: Any = field(default_factory=TaggerSizes)

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Tagging":
        splits, sources = self.splits(measured=bool(vocabularies))
        return Tagging(self, splits, sources, vocabularies)

    def splits(self, *, measured: bool = False) -> tuple[dict[str, list[treebank.Tree]], Sources]:
        """Returns train, dev and test, and where they are from.

        Args:
            measured: whether a version is only measured: what it has learned from beside its treebank is not read.
        """
        read = {split: list(treebank.read(corpora.read(self.corpus, split))) for split in ("train", "dev", "test")}
        splits, prepared = self.prepared(read, measured=measured)
        sources = (*corpora.sources(self.corpus), *prepared)
        if not measured:
            written, further = self.written_sentences()
            splits["train"] += written
            sources = (*sources, *further)
        return splits, sources

    def prepared(
        self, splits: dict[str, list[treebank.Tree]], *, measured: bool
    ) -> tuple[dict[str, list[treebank.Tree]], Sources]:
        """Returns the parts of the treebank as they are learned from and measured, and what that takes besides it."""
        return splits, ()

    def written_sentences(self) -> tuple[list[treebank.Tree], Sources]:
        """Returns the sentences that were written for this project, as often as they are read, and their origin."""
        corpus = f"written_{self.language}"
        trees = [
            tree
            for part, times in self.written.items()
            for tree in list(treebank.read(corpora.read(corpus, part))) * times
        ]
        return trees, tuple(source for part in self.written for source in corpora.sources(f"{corpus}/{part}"))


class Tagging(ServedTask):
    """Part-of-speech tags and features of words, one head for each column of CoNLL-U.

    Args:
        splits: the sentences of train, dev and test, in the order of their text.
        lexicon: what words may be.
        labels: by head, of a version that training goes on from; by default the train split's.
        distillation: what is learned from beside the train split; by default the recipe's teacher's set, if any.

    Raises:
        ConfigurationError: if the recipe's `chosen_by` is no metric of these columns, or its sizes have a linear model
            without affixes, or there is a lexicon without them.
    """

    kind = "tag"
    endpoint_name = "tag"

    def __init__(
        self,
        recipe: TaggingRecipe,
        splits: dict[str, list[treebank.Tree]],
        data: tuple[DataSource, ...],
        vocabularies: Mapping[str, Vocabulary] | None = None,
        lexicon: Lexicon | None = None,
        *,
        labels: Mapping[str, tuple[str, ...]] | None = None,
        distillation: DistillationSet | None = None,
    ) -> None:
        self.recipe: TaggingRecipe = recipe
        self._trees = splits
        self.data = data
        self.tokenizer = recipe.tokenizer
        train = splits["train"][: recipe.limit]
        forms = [form for tree in train for form in tree.forms]
        counts = Counter(form.lower() for form in forms)
        self._lexicon = lexicon
        self._distillation = distillation
        if recipe.teacher and not vocabularies:
            self._distillation = DistillationSet.read(recipe.teacher)
        if self._distillation:
            self.data += self._distillation.sources
            counts = Counter(dict(zip(self._distillation.words, self._distillation.counts.tolist(), strict=True)))
        self.vocabularies = dict(vocabularies or {}) or {
            "words": counted(counts, at_least=recipe.word_count, lowercase=True),
            "characters": counted(character for form in forms for character in normalize_form(form)),
        }
        words = self.vocabularies["words"]
        self._lemma_labels = LemmaLabels(train if recipe.lemmas else ())
        found = dict(labels or {}) or {head: treebank.tags(train, head) for head in HEADS}
        if rules := found.get(LEMMA, self._lemma_labels.labels):
            found[LEMMA] = rules
        self.labels = most_frequent(found) if recipe.common_sizes else found
        self._distillation = self._distillation and self._distillation.numbered(self.labels)
        self._finer = finer_column(self.labels)
        if rules:
            self.lemmatizer = learn_lemmatizer(words_with_lemmas(train, self._finer), self.labels[LEMMA])
        self._measured = [head for head in HEADS if len(self.labels[head]) > 1]  # not a column of "_"
        self.chosen_by = recipe.chosen_by
        if self.chosen_by not in (metrics := [*(HEADS[head] for head in self._measured), ALL_TAGS]):
            raise ConfigurationError(f"chosen_by={self.chosen_by}; right: one of {', '.join(metrics)}")
        sizes = recipe.sizes
        if isinstance(sizes, TaggerSizes) and (sizes.linear or lexicon) and not sizes.affix_embedding:
            right = "at least 1, or no lexicon" if lexicon else "at least 1, or sizes.linear=false"
            raise ConfigurationError(f"sizes.affix_embedding=0; right: {right}")
        self._label_ids = {head: {label: i for i, label in enumerate(labels)} for head, labels in self.labels.items()}
        self.lengths = dict(Counter(len(tree.words) for tree in train))
        self.length_buckets = best_buckets(self.lengths, BUCKETS)
        if recipe.common_sizes:
            self.length_buckets = common_buckets(self.length_buckets)
        outputs = {head: len(labels) for head, labels in self.labels.items()}
        self.endpoint = tagging_endpoint(recipe.characters, common_labels(outputs) if recipe.common_sizes else outputs)
        self._known = frozenset(forms)
        self._rewritten_rules = RewrittenRules(self, self._finer)
        self._splits = {
            split: [self._example(tree) for tree in trees] for split, trees in (splits | {"train": train}).items()
        }
        self._drop = word_dropout(counts, words, recipe.word_dropout)
        self._train = Examples.of(self._splits["train"])
        if self._distillation:
            self._train = Examples.of([with_shares(example) for example in self._splits["train"]])

    def with_labels(self, labels: Mapping[str, tuple[str, ...]]) -> "Tagging":
        """Returns the task with the labels of a version, whose train split may have been mapped in another way."""
        return Tagging(self.recipe, self._trees, self.data, self.vocabularies, self._lexicon, labels=labels)

    def written(self, change: Callable[[str], str]) -> "Tagging":
        """Returns the task with the words of dev and test in another form, which a function makes of each."""
        trees = {
            split: own if split == "train" else [treebank.rewritten(tree, change) for tree in own]
            for split, own in self._trees.items()
        }
        task = Tagging(self.recipe, trees, self.data, self.vocabularies, self._lexicon, labels=self.labels)
        task.segmenter, task.lemmatizer, task.length_buckets = self.segmenter, self.lemmatizer, self.length_buckets
        return task

    def network(self) -> keras.Model:
        sizes = {head: len(labels) for head, labels in self.labels.items()}
        words, characters = self.vocabularies["words"], self.vocabularies["characters"]
        classes = [WordClasses.of_lexicon(self._lexicon, characters, self.recipe.characters)] if self._lexicon else []
        model = self.recipe.sizes.network(len(words), len(characters), sizes, *classes)
        if isinstance(model, Counted):
            model.count(self._splits["train"])
        if isinstance(model, Tagger) and model.affixes:
            model.affixes.describe(characters)
        if self._distillation:
            table = model.word_embedding.embeddings
            table.assign(self._distillation.embeddings(words, table.shape[1], EMBEDDING_SCALE))
        return model

    def examples(self, split: str) -> list[Example]:
        """Returns the examples of a split, with the one label of each word as their targets."""
        return self._splits[split]

    def train_batches(self, rng: np.random.Generator) -> Batches:
        examples = self._train + Examples.of(self._restyled(rng))
        if self._distillation:
            cases = drawn_cases(len(self._distillation.lengths), self.recipe.restyled_text, rng)
            distilled = Examples(self._distillation.lengths, lambda i: self._distilled_example(i, cases[i]))
            examples += distilled.sample(self.recipe.distillation_tokens, rng)
        return bucketed(examples, self.recipe.batch_tokens, rng).map(
            lambda batch: with_dropped_words(batch, self._drop, rng)
        )

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        logits, smoothing = model(**inputs, training=True), self.recipe.label_smoothing
        losses = [
            label_cross_entropy(targets[head], targets.get(f"{head}_shares"), logits[name], smoothing)
            for head in self.labels
            for name in (head, f"{head}_linear")
            if name in logits
        ]
        return sum(losses), state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        read = model(**inputs, training=False).items()
        return {head: ops.softmax(logits) if logits.shape[-1] > 1 else ops.ones_like(logits) for head, logits in read}

    def served(self, model: keras.Model) -> keras.Model:
        return padded(model) if self.recipe.common_sizes and isinstance(model, Tagger) else model

    def served_endpoints(self, model: keras.Model) -> dict[str, EndpointFunction]:
        return served_endpoints(model, self.endpoint, self.recipe.characters) if isinstance(model, Tagger) else {}

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        predictions = self.predictions(predict, split)
        columns = {HEADS[head]: given.right for head, given in predictions.items() if head in HEADS}
        known = np.array([form in self._known for example in self._splits[split] for form in example.source])
        metrics = tagging_accuracy(columns, known, split)
        if self.lemmatizer is None:
            return metrics
        return (*metrics, *word_accuracy({LEMMAS: self._right_lemmas(predictions, split)}, known, split))

    def predictions(self, predict: Predict, split: str) -> dict[str, Predictions]:
        examples = self._splits[split]
        groups = np.repeat(np.arange(len(examples)), [len(example) for example in examples])
        return {
            head: Predictions(
                np.concatenate([example.targets[head] for example in examples]), np.concatenate(rows), groups
            )
            for head, rows in self._probabilities(predict, examples).items()
            if head in (*self._measured, LEMMA)
        }

    def encoded(self, split: str) -> dict[str, Array]:
        inputs = [example.inputs for example in self._splits[split]]
        names = {"words": "word_ids", "characters": "char_ids"}
        return {name: np.concatenate([ids[key].ravel() for ids in inputs]) for name, key in names.items()}

    def evaluate_text(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        return raw_text.evaluate(
            self._trees[split], self.text_tokenizer(), lambda sentences: self.tag(predict, sentences), split
        )

    def text_tokenizer(self) -> Tokenizer:
        """Returns the tokenizer of the model, with what it has learned."""
        return make_tokenizer(self.tokenizer, self.segmenter)

    def learn_segmenter(self) -> None:
        if self.recipe.segmentation:
            tokenizer, wanted = named_tokenizer(self.recipe.tokenizer), self.recipe.segmentation
            spaced = [tree for tree in self._trees["train"] if tree.spaced]
            known = known_forms(primary(self.recipe.language), tokenizer.rules.exceptions)
            self.segmenter = learn(spaced, self._trees["dev"], tokenizer, wanted, known)

    def learn_exceptions(self, predict: Predict) -> None:
        """Keeps the lemmas of the lexicon that the network does not find where it reads the word alone."""
        lexicon = self._lexicon
        if self.recipe.lemminflect:
            lexicon = of_lemminflect()
        elif self.recipe.spacy_lemmas:
            lexicon = lemmas_of_spacy(self.recipe.language, partial(self._upos_alone, predict))
        if self.lemmatizer is None or lexicon is None:
            return
        if lexicon is not self._lexicon:
            self.data += (lexicon.source,)
        lemmas = lemmas_by_form(lexicon, self.labels["upos"])
        self.lemmatizer = with_exceptions(self.lemmatizer, lemmas, self._read_alone(predict, list(lemmas), LEMMA))

    def _upos_alone(self, predict: Predict, forms: Sequence[str]) -> list[str]:
        """Returns the most probable UPOS of words; the network reads each alone."""
        read = self._read_alone(predict, forms, "upos")
        return [self.labels["upos"][read[form].argmax()] for form in forms]

    def _read_alone(self, predict: Predict, forms: Sequence[str], head: str) -> dict[str, Array]:
        """Returns the probabilities of a head for words, shape [K]; the network reads each alone."""
        examples = [Example((form,), self.inputs((form,))) for form in forms]
        return {forms[i]: outputs[head][0] for i, outputs in predict_all(predict, examples)}

    def learn_lemma_weights(self, predict: Predict) -> None:
        """Learns of dev which of its candidates a word's lemma is."""
        if self.lemmatizer is not None:
            predictions = self.predictions(predict, "dev")
            rules = predictions[LEMMA].probabilities
            tags = self._predicted(predictions)
            self.lemmatizer = with_weights(self.lemmatizer, self._finer, self._words("dev"), tags, rules)

    def tag(self, predict: Predict, sentences: Sequence[Sequence[str]]) -> list[list[raw_text.Tags]]:
        """Returns the tags of each word of each sentence."""
        examples = [Example(tuple(forms), self.inputs(forms)) for forms in sentences]
        columns = self._probabilities(predict, examples)
        found = []
        for i, forms in enumerate(sentences):
            tags = self._tags({head: columns[head][i].argmax(-1) for head in HEADS})
            if self.lemmatizer is not None:
                tags = with_lemmas(self.lemmatizer, self._finer, forms, tags, columns[LEMMA][i])
            found.append(tags)
        return found

    def _tags(self, ids: Mapping[str, Array]) -> list[raw_text.Tags]:
        """Returns the tags of words. ids: of the label of each head, shape [N]."""
        columns = [[self.labels[head][i] for i in ids[head]] for head in HEADS]
        return [raw_text.Tags(*tags) for tags in zip(*columns, strict=True)]

    def _right_lemmas(self, predictions: Mapping[str, Predictions], split: str) -> Array:
        """Returns whether the lemma of each word of a split is right, bool, shape [N]; any is, where there is none."""
        assert self.lemmatizer  # noqa: S101 (there are rules)
        words, rules = self._words(split), predictions[LEMMA].probabilities
        tags = self._predicted(predictions)
        found = with_lemmas(self.lemmatizer, self._finer, (word.form for word in words), tags, rules)
        return np.array([word.lemma in (tags.lemma, NOTHING) for word, tags in zip(words, found, strict=True)])

    def _words(self, split: str) -> list[treebank.Word]:
        return [word for tree in self._trees[split][: len(self._splits[split])] for word in tree.words]

    def _predicted(self, predictions: Mapping[str, Predictions]) -> list[raw_text.Tags]:
        """Returns the tags of the words of a split."""
        zeros = np.zeros(len(predictions[LEMMA].labels), int)
        return self._tags({head: predictions[head].labels if head in predictions else zeros for head in HEADS})

    def compact(self, model: keras.Model) -> None:
        if isinstance(model, Tagger):
            for table in model.tables:
                table.quantize("int8")

    def calibrate(self, model: keras.Model, predict: Predict) -> None:
        """Divides the weights of each head, and with them its logits, by its best temperature on dev."""
        model.divide_logits({h: label_temperature(found) for h, found in self.predictions(predict, "dev").items()})

    def _probabilities(self, predict: Predict, examples: Sequence[Example]) -> dict[str, list[Array]]:
        """Returns the probabilities of each head for the words of each example, each of shape [T, K]."""
        found: dict[str, list[Any]] = {head: [None] * len(examples) for head in self.labels}
        for i, outputs in predict_all(predict, examples):
            for head in self.labels:
                found[head][i] = outputs[head][: len(examples[i])]
        return found

    def goldens(self) -> list[Example]:
        return of_lengths(self._splits["dev"], GOLDEN_LENGTHS)

    def _example(self, tree: treebank.Tree) -> Example:
        forms = tree.forms
        targets = {}
        for head, ids in self._label_ids.items():
            labels = [self._label(word, head) for word in tree.words]
            found = [IGNORED if label == treebank.UNLABELLED else ids.get(label, UNSEEN) for label in labels]
            targets[head] = np.array(found, np.int32)
        if LEMMA in targets:
            targets[LEMMA][[word.lemma == NOTHING for word in tree.words]] = IGNORED
        return Example(forms, self.inputs(forms), targets)

    def rule_id(self, form: str, upos: str, lemma: str) -> int | None:
        """Returns the id of the rule that makes a lemma of a form, None if it is no label."""
        return self._label_ids[LEMMA].get(self._lemma_labels.rule(form, upos, lemma))

    def lemma(self, form: str, upos: str, tag: str, rule: int) -> str | None:
        """Returns the lemma of a word by the treebank's dictionary or a rule, None if that does not fit the form."""
        if self.lemmatizer is None:
            return None
        return self.lemmatizer.find(form, upos, tag) or self.lemmatizer.by_rule(form, rule)

    def lemmas_in_lower_case(self) -> set[str]:
        """Returns the lemmas of the train split in lower case."""
        return {word.lemma.lower() for tree in self._trees["train"] for word in tree.words}

    def _label(self, word: treebank.Word, head: str) -> str:
        """Returns the label of a word."""
        label: str = self._lemma_labels.rule(word.form, word.upos, word.lemma) if head == LEMMA else getattr(word, head)
        return label

    def _restyled(self, rng: np.random.Generator) -> list[Example]:
        """Returns sentences of the train split in another case, with the labels that their words have so."""
        trees = restyled(self._trees["train"][: len(self._splits["train"])], self.recipe.restyled, rng)
        examples = map(self._example, trees)
        return [with_shares(example) if self._distillation else example for example in examples]

    def _distilled_example(self, i: int, case: str) -> Example:
        """Returns a sentence of the distillation set, in a case of CASES, or "" for as it is."""
        assert self._distillation  # noqa: S101 (otherwise there are no distilled examples)
        forms, targets = self._distillation.sentences[i], self._distillation.outputs_by_word(i)
        if not case:
            return Example(forms, self.inputs(forms), targets)
        written = tuple(map(CASES[case], forms))
        if LEMMA in targets:
            targets |= self._rewritten_rules.of(forms, written, targets)
        return Example(written, self.inputs(written), targets)

    def inputs(self, forms: Sequence[str]) -> dict[str, Array]:
        """Returns what `inputs_of` does."""
        return inputs_of(forms, self.vocabularies, self.recipe.characters)


def inputs_of(forms: Sequence[str], vocabularies: Mapping[str, Vocabulary], longest: int) -> dict[str, Array]:
    """Returns the inputs of the network for a sentence: word_ids, shape [T], and char_ids, shape [T, C].

    longest: the most characters of a word that are read, C.
    """
    return {
        "word_ids": encode_tokens(forms, vocabularies["words"]),
        "char_ids": encode_characters(forms, vocabularies["characters"], longest),
    }
