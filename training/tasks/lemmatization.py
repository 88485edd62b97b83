"""Lemmas of words with their tags, learned from a treebank of Universal Dependencies."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
from keras import ops

from service.artifact.manifest import DataSource, Endpoint, Metric, TensorSpec
from service.errors import ArtifactError, ConfigurationError
from service.text import lemmas
from service.text.lemmas import EDITS, Inflected, LemmaDictionary
from service.text.vocabulary import PAD, UNK, Vocabulary
from training.cells import Tensor
from training.data import corpora, treebank
from training.data.buckets import best_buckets
from training.data.dataset import IGNORED, Array, Batch, Batches, Example, Examples, bucketed, collate
from training.data.lexicon import Lexicon
from training.data.treebank import NOTHING
from training.metrics import raw_text
from training.metrics.scores import LEMMAS, word_accuracy
from training.models.encoder_decoder import EncoderDecoderSizes
from training.models.lemmatizer import Lemmatizer
from training.tasks.base import (
    AttentionWeights,
    LoadModel,
    Part,
    Predict,
    State,
    Task,
    Tensors,
    predict_all,
    projection,
)
from training.tasks.losses import label_cross_entropy
from training.tasks.recipe import Recipe
from training.tasks.tagging import Tagging

EVALUATION_TOKENS = 4000  # positions in a batch
BUCKETS = 2
GOLDENS = 12


@dataclass(frozen=True, kw_only=True)
class LemmatizationRecipe(Recipe):
    """Settings of a lemmatizer.

    Attributes:
        corpus: of training.data.corpora, with train, dev and test in CoNLL-U.
        tagger: the model that tags words where the treebank's tags are not used.
        symbol_count: the least occurrences of a tag or character in the vocabulary.
        tag_dropout: the probability with which a tag becomes UNK.
        longest: the most symbols of a word that the network reads. Longer words are addresses, and their own lemma.
    """

    corpus: str
    tagger: str
    symbol_count: int = 3
    tag_dropout: float = 0.1
    longest: int = 40
    sizes: EncoderDecoderSizes = field(default_factory=EncoderDecoderSizes)

    def task(self, vocabularies: Mapping[str, Vocabulary] | None = None) -> "Lemmatization":
        splits = {split: list(treebank.read(corpora.read(self.corpus, split))) for split in ("train", "dev", "test")}
        return Lemmatization(self, splits, corpora.sources(self.corpus), vocabularies)


class Lemmatization(Task):
    """Lemmas of words: a dictionary, and a network for words that it does not have.

    Each word with its tags is one training example, however frequent: frequent words are in the dictionary.

    Args:
        splits: the sentences of train, dev and test, in the order of their text.
        lexicon: more words, which are learned from as well, as many in an epoch as there are in the train split. Those
            that the network gets wrong nevertheless go into the dictionary.
    """

    kind = "lemmatize"
    endpoint_name = "lemmatize"
    chosen_by = LEMMAS
    dictionary: LemmaDictionary

    def __init__(
        self,
        recipe: LemmatizationRecipe,
        splits: dict[str, list[treebank.Tree]],
        data: tuple[DataSource, ...],
        vocabularies: Mapping[str, Vocabulary] | None = None,
        lexicon: Lexicon | None = None,
    ) -> None:
        self.recipe: LemmatizationRecipe = recipe
        self.data = data
        self.labels = {"edit": EDITS}
        self.tokenizer = None
        self._splits = splits
        train = [word for tree in splits["train"][: recipe.limit] for word in tree.words if word.lemma != NOTHING]
        counts = Counter((inflected(word), word.lemma) for word in train)
        self.dictionary = LemmaDictionary.count(counts.elements())
        self._known = frozenset(word.form for word in train)
        best = {
            w: lemma for (w, lemma), _ in reversed(counts.most_common()) if len(lemmas.symbols(w)) <= recipe.longest
        }
        read = Counter(symbol for word, lemma in best.items() for symbol in (*lemmas.symbols(word), *lemma))
        symbols = Vocabulary([s for s, n in sorted(read.items()) if n >= recipe.symbol_count])
        self.vocabularies = dict(vocabularies or {"symbols": symbols})
        self._symbols = self.vocabularies["symbols"]
        self._examples = [self._example(word, lemma) for word, lemma in best.items()]
        self._listed = list(self._of_lexicon(lexicon, best).items()) if lexicon else []
        lengths = np.array([len(lemmas.symbols(word)) for word, _ in self._listed], np.int64)
        self._more = Examples(lengths, lambda i: self._example(*self._listed[i]))
        self._is_tag = np.array([False, False, *(len(entry) > 1 for entry in self._symbols.entries)])
        self.lengths = dict(Counter(map(len, self._examples)))
        self.length_buckets = best_buckets({n: self.lengths[n] for n in self.lengths if n <= recipe.longest}, BUCKETS)
        self.endpoint = Endpoint(
            inputs={
                "symbol_ids": TensorSpec(dtype="int32", axes=("B", "T")),
                "lengths": TensorSpec(dtype="int32", axes=("B",)),
            },
            outputs={
                "edit": TensorSpec(dtype="int32", axes=("B",)),
                "lemma_ids": TensorSpec(dtype="int32", axes=("B", "T")),
            },
        )

    def network(self) -> keras.Model:
        return Lemmatizer(len(self._symbols), self.recipe.sizes)

    def train_batches(self, rng: np.random.Generator) -> Batches:
        def changed(batch: Batch) -> Batch:
            return batch.with_input("symbol_ids", self._with_dropped_tags(batch.inputs["symbol_ids"], rng))

        examples = Examples.of(self._examples)
        examples += self._more.sample(int(examples.lengths.sum()), rng)
        return bucketed(examples, self.recipe.batch_tokens, rng).map(changed)

    def loss(self, model: keras.Model, inputs: Tensors, targets: Tensors, state: State) -> tuple[Tensor, State]:
        wanted = targets["lemma_ids"]  # [B, L]
        steps = ops.sum(ops.cast(wanted != IGNORED, "int32"), axis=1)
        characters, edits = model(**inputs, spelled=ops.maximum(wanted, PAD), steps=steps, training=True)
        edit_losses = ops.sparse_categorical_crossentropy(targets["edit"], edits, from_logits=True)
        return label_cross_entropy(wanted, None, characters) + ops.mean(edit_losses), state

    def predict(self, model: keras.Model, inputs: Tensors) -> Tensors:
        edit, lemma_ids = model.lemmatize(**inputs)
        return {"edit": edit, "lemma_ids": lemma_ids}

    def parts(self, model: keras.Model) -> dict[str, Part]:
        def run(**tensors: Tensor) -> Tensors:
            edit, lemma_ids = model.lemmatize_from_table(**tensors)
            return {"edit": edit, "lemma_ids": lemma_ids}

        rows = tuple(model.project().shape)
        table = TensorSpec(dtype="float32", axes=("W", rows[1]))
        step = Endpoint(inputs={"table": table} | self.endpoint.inputs, outputs=self.endpoint.outputs)
        return {"project": projection(model.project, {}, rows), "lemmatize_from_table": Part(step, run)}

    def learn_exceptions(self, predict: Predict) -> None:
        exceptions: defaultdict[str, dict[str, str]] = defaultdict(dict)
        found = self.lemmatize(predict, (word for word, _ in self._listed))
        for (word, lemma), given in zip(self._listed, found, strict=True):
            if given != lemma:
                exceptions[word.upos][word.form] = lemma
        self.dictionary = self.dictionary.with_others(exceptions)

    def evaluate(self, predict: Predict, split: str) -> tuple[Metric, ...]:
        words = [word for tree in self._splits[split] for word in tree.words]
        return self._accuracy(LEMMAS, self.lemmatize(predict, map(inflected, words)), split)

    def evaluate_text(self, predict: Predict, split: str, load: LoadModel) -> tuple[Metric, ...]:
        """Measures with the tags of the newest tagger, on gold tokens and from raw text."""
        tagger = load(self.recipe.tagger)
        tagging = tagger.task
        if not isinstance(tagging, Tagging):
            raise ArtifactError(f"{tagger.name} is not a tagger, as {self.recipe.name} needs")

        def tag(sentences: Sequence[Sequence[str]]) -> list[list[raw_text.Tags]]:
            tagged = tagging.tag(tagger.predict, sentences)
            forms = [form for sentence in sentences for form in sentence]
            tags = [tags for row in tagged for tags in row]
            words = [Inflected(form, t.upos, t.xpos, t.feats) for form, t in zip(forms, tags, strict=True)]
            found = iter(self.lemmatize(predict, words))
            return [[tags._replace(lemma=next(found)) for tags in row] for row in tagged]

        own = [tags.lemma for row in tag([tree.forms for tree in self._splits[split]]) for tags in row]
        metrics = self._accuracy(f"{LEMMAS}, tags of {tagger.name}", own, split)
        return (*metrics, *raw_text.evaluate(self._splits[split], tagging.text_tokenizer(), tag, split))

    def lemmatize(self, predict: Predict, words: Iterable[Inflected]) -> list[str]:
        """Returns the lemma of each word, from the dictionary or from the endpoint."""
        words = list(words)
        known = {word: self.dictionary.find(word.form, word.upos, word.xpos) for word in words}
        unknown = [word for word, lemma in known.items() if lemma is None]
        examples = [Example(word, {"symbol_ids": lemmas.encode(word, self._symbols)}) for word in unknown]
        examples = [example for example in examples if len(example) <= self.recipe.longest]
        for i, outputs in predict_all(predict, examples, EVALUATION_TOKENS):
            word = Inflected(*examples[i].source)
            known[word] = lemmas.decode(word.form, int(outputs["edit"]), outputs["lemma_ids"], self._symbols)
        return [known[word] or word.form for word in words]

    def attend(self, model: keras.Model, text: str) -> AttentionWeights:
        """Returns the attention weights of each step in which the decoder spells a lemma, whatever the edit.

        text: a word with its tags, "women/NOUN/NNS/Number=Plur". Raises ConfigurationError for any other.
        """
        word, read = _tagged(text), lemmas.symbols(_tagged(text))
        inputs = collate([Example(word, {"symbol_ids": lemmas.encode(word, self._symbols)})]).inputs
        ids, weights = (np.asarray(output[0]) for output in model.attend(**inputs, steps=len(read)))
        return AttentionWeights.to_the_end(read, ids, weights, lambda id: self._symbols.string(id) if id > UNK else "?")

    def goldens(self) -> list[Example]:
        """Returns words of dev, of each edit and of different lengths."""
        words = {inflected(word): word.lemma for tree in self._splits["dev"] for word in tree.words}
        examples = [self._example(word, lemma) for word, lemma in words.items()]
        short = [example for example in examples if len(example) <= self.recipe.longest]
        ordered = sorted(short, key=lambda example: (int(example.targets["edit"]), len(example)))
        return ordered[:: max(1, len(ordered) // GOLDENS)]

    def _accuracy(self, name: str, given: Sequence[str], split: str) -> tuple[Metric, ...]:
        words = [word for tree in self._splits[split] for word in tree.words]
        right = np.array([w.lemma in (lemma, NOTHING) for w, lemma in zip(words, given, strict=True)])
        known = np.array([word.form in self._known for word in words])
        return word_accuracy({name: right}, known, split)

    def _example(self, word: Inflected, lemma: str) -> Example:
        spelled = [self._symbols.id(character) for character in lemma]
        targets = {
            "lemma_ids": np.array([*spelled, PAD], np.int32),
            "edit": np.array(lemmas.edit_of(word.form, lemma), np.int32),
        }
        return Example(word, {"symbol_ids": lemmas.encode(word, self._symbols)}, targets)

    def _of_lexicon(self, lexicon: Lexicon, seen: Iterable[Inflected]) -> dict[Inflected, str]:
        """Returns the words of a lexicon that the treebank does not have, and their lemmas.

        Their kinds are parts of speech in any case, "verb" for VERB. XPOS and features are not known.
        """
        forms = {(word.form.lower(), word.upos) for word in seen}
        tags = {upos for _, upos in forms}
        return {
            Inflected(form, upos, lemmas.ANY, "_"): lemma
            for (form, kind), lemma in lexicon.lemmas.items()
            if (upos := kind.upper()) in tags
            and (form, upos) not in forms
            and all(character in self._symbols for character in form + lemma)
        }

    def _with_dropped_tags(self, symbol_ids: Array, rng: np.random.Generator) -> Array:
        """Replaces random tags by UNK, so that a wrong tag does less harm."""
        dropped = self._is_tag[symbol_ids] & (rng.random(symbol_ids.shape) < self.recipe.tag_dropout)
        return np.where(dropped, UNK, symbol_ids).astype(np.int32)


def inflected(word: treebank.Word) -> Inflected:
    """Returns a word of a treebank in the form that the lemmatizer reads."""
    return Inflected(word.form, word.upos, word.xpos, word.feats)


def _tagged(text: str) -> Inflected:
    match text.split("/"):
        case [form, upos, xpos, feats]:
            return Inflected(form, upos, xpos, feats)
        case [form, upos, xpos]:
            return Inflected(form, upos, xpos, "_")
    raise ConfigurationError(f"{text!r} is no word with its tags; one is women/NOUN/NNS/Number=Plur")
