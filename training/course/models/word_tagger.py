"""The tagger of the ladder, from a simple RNN over a window to two bidirectional layers with characters."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
from keras import ops

from training.cells import KINDS, Cell, Tensor
from training.cells.unroll import unroll
from training.course.cells import Dropout, LearnedState
from training.course.cells.plain_unroll import unroll_static, windows
from training.models.layers import divide_heads, read_characters


@dataclass(frozen=True, kw_only=True)
class WordTaggerSizes:
    """The layers between words and labels.

    Attributes:
        cell: a name of training.cells.KINDS; "" for a feed-forward layer over the words of the window.
        window: words that a label is read from, the last of them its own; 0 for the whole sentence.
        units: of a layer and direction.
        learned_state: whether the state before the first word is trained, and not zero.
        dropout: of each layer's input and output; where it is variational, also of its recurrent state.
        spelling: units per direction of what reads the characters of each word; 0 reads none.
    """

    cell: str = "simple"
    window: int = 0
    embedding: int = 64
    units: int = 128
    directions: int = 1
    layers: int = 1
    learned_state: bool = False
    dropout: float = 0.0
    variational: bool = False
    spelling: int = 0

    def network(self, words: int, characters: int, labels: Mapping[str, int]) -> "WordTagger":
        """Builds a WordTagger of these sizes."""
        return WordTagger(words, characters, labels, self)


class WordTagger(keras.Model):  # type: ignore[misc]
    """Computes the logits of every head for each word. Arguments as of Tagger."""

    def __init__(self, words: int, characters: int, labels: Mapping[str, int], sizes: WordTaggerSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.word_embedding = keras.layers.Embedding(words, sizes.embedding)
        self.word_embedding.build()
        if sizes.spelling:
            self.characters = self.add_weight(shape=(characters, 32), initializer="uniform", name="characters")
            self.speller = KINDS[sizes.cell](32, sizes.spelling, 2)
        width = sizes.embedding + 2 * sizes.spelling
        layers = range(sizes.layers if sizes.cell else 0)
        self.layers_ = [self._layer(sizes.directions * sizes.units if i else width) for i in layers]
        self.states = [LearnedState(layer) if sizes.learned_state else None for layer in self.layers_]
        if not sizes.cell:
            self.hidden = keras.layers.Dense(sizes.units, "tanh")
            self.hidden.build((None, sizes.window * width))
        self.heads = {name: keras.layers.Dense(size, name=name, dtype="float32") for name, size in labels.items()}
        for head in self.heads.values():
            head.build((None, sizes.directions * sizes.units))
        self.built = True

    def _layer(self, width: int) -> Cell:
        sizes = self.sizes
        cell = KINDS[sizes.cell](width, sizes.units, sizes.directions)
        if not sizes.dropout:
            return cell
        state = sizes.dropout if sizes.variational else 0.0
        return Dropout(cell, inputs=sizes.dropout, outputs=sizes.dropout, state=state, variational=sizes.variational)

    def call(
        self, word_ids: Tensor, char_ids: Tensor, lengths: Tensor, forms: Tensor | None = None, training: bool = False
    ) -> dict[str, Tensor]:
        """Returns logits, shape [B, T, K] for each head. Arguments as of Tagger.call."""
        outputs = self.word_embedding(word_ids)  # [B, T, E]
        if self.sizes.spelling:
            spelled = read_characters(self.speller, self.characters, char_ids)
            spelled = spelled if forms is None else ops.take(spelled, forms, axis=0)
            outputs = ops.concatenate([outputs, spelled], axis=-1)
        if not self.sizes.cell:
            joined = windows(outputs, self.sizes.window)  # [B * T, window, E]
            outputs = self.hidden(ops.reshape(joined, (*ops.shape(outputs)[:2], -1)))
        for layer, state in zip(self.layers_, self.states, strict=True):
            outputs = self._run(layer, state, outputs, lengths)
        return {name: head(outputs) for name, head in self.heads.items()}

    def _run(self, layer: Cell, state: LearnedState | None, inputs: Tensor, lengths: Tensor) -> Tensor:
        """Runs a layer from its learned state, if it has one: [B, T, I] -> [B, T, D * H]."""
        if not self.sizes.window:
            return unroll(layer, inputs, lengths, state and state.repeated(ops.shape(inputs)[0]))[0]
        batch, time, _ = ops.shape(inputs)
        _, (last, *_) = unroll_static(layer, windows(inputs, self.sizes.window))
        return ops.reshape(last[0], (batch, time, self.sizes.units))

    def divide_logits(self, temperatures: Mapping[str, float]) -> None:
        """Divides the logits of each head by its temperature."""
        divide_heads(self.heads, temperatures)
