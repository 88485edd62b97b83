"""A captioner: a convolutional encoder of an image, and a decoder with attention that generates the words."""

from collections.abc import Iterator
from dataclasses import dataclass

import keras
from keras import ops

from service.text.vocabulary import PAD
from training.cells import LSTM, Cell, State, Tensor
from training.cells.unroll import unroll_embedded
from training.course.cells import Attention

HALVING = 2  # convolutions that halve the sides of the image


@dataclass(frozen=True, kw_only=True)
class CaptionerSizes:
    """Widths of the layers, and dropout.

    Attributes:
        channels: of each convolution; the first two halve the sides of the image.
        units: of the memory and of the decoder.
        attention: whether the decoder attends to the image at each word, or reads its mean alone, before the first.
    """

    channels: tuple[int, ...] = (32, 64, 64, 64)
    embedding: int = 32
    units: int = 128
    dropout: float = 0.2
    attention: bool = True


class Captioner(keras.Model):  # type: ignore[misc]
    """Computes logits of each next word of a caption (Vinyals et al. 2015; Xu et al. 2015).

    Convolutions make a map of the image, whose cells, each with what is learned of its place, are the memory. Their
    mean is what the decoder starts from: an LSTM that generates words, and at each of them attends to the memory. PAD
    stands before the first word and after the last.

    Args:
        words: number of ids of the vocabulary, V.
        side: of the images, which are square, in pixels.
        longest: the most words of a caption.
    """

    def __init__(self, words: int, side: int, longest: int, sizes: CaptionerSizes) -> None:
        super().__init__()
        units, width = sizes.units, sizes.channels[-1]
        self.convolutions, before = [], 1
        for i, channels in enumerate(sizes.channels):
            stride = 2 if i < HALVING else 1
            layer = keras.layers.Conv2D(channels, 3, stride, padding="same", activation="relu")
            layer.build((None, None, None, before))
            self.convolutions.append(layer)
            before = channels
        self._image, self._longest = (-1, side, side, 1), longest
        self.cells = (side // 2**HALVING) ** 2  # N, of the map
        self.places = self.add_weight(shape=(self.cells, width), initializer="uniform", name="places")
        self.embedding = self.add_weight(shape=(words, sizes.embedding), initializer="uniform", name="embedding")
        self.join = keras.layers.Dense(units, activation="relu", name="join")
        self.bridge = keras.layers.Dense(2 * units, activation="tanh", name="bridge")  # -> h, c
        self.head = keras.layers.Dense(words, name="word", dtype="float32")
        for layer, inputs in ((self.join, width), (self.bridge, units), (self.head, units)):
            layer.build((None, inputs))
        lstm = LSTM(sizes.embedding, units)
        self.decoder = Attention(lstm, units) if sizes.attention else lstm
        self.dropout = keras.layers.Dropout(sizes.dropout)
        self.built = True

    def call(self, image: Tensor, before: Tensor, lengths: Tensor, training: bool = False) -> Tensor:
        """Returns logits of each word, given those before it, shape [B, L, V].

        Args:
            image: from 0 to 1, float32, shape [B, H, H].
            before: the caption with PAD before it, int32, shape [B, L].
            lengths: valid positions of `before`, int32, shape [B].
        """
        cell, state = self._encode(image, training)
        outputs, _ = unroll_embedded(cell, self.embedding, before, lengths, state)
        return self.head(self.dropout(outputs, training=training))

    def caption(self, image: Tensor) -> Tensor:
        """Returns the most probable word at each step, PAD after the end, int32, shape [B, longest + 1]."""
        return ops.stack([words for words, _ in self._generate(*self._encode(image, training=False))], axis=1)

    def attend(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Returns what `caption` does, and the attention of each step to each cell, shape [B, longest + 1, N].

        The cells are in reading order. Only for a network with attention.
        """
        cell, state = self._encode(image, training=False)
        words, states = zip(*self._generate(cell, state), strict=True)
        return ops.stack(words, axis=1), ops.stack([cell.weights_of(after[1:]) for after in states], axis=1)

    def _generate(self, cell: Cell, state: State) -> Iterator[tuple[Tensor, State]]:
        """Yields the most probable word of each step, int32, shape [B], and the state after it."""
        table = cell.project(self.embedding, 0)
        words = ops.zeros_like(state[0][0, :, 0], dtype="int32")
        over = words != PAD  # no row
        for _ in range(self._longest + 1):
            state = cell.step(ops.expand_dims(ops.take(table, words, axis=0), 0), state)
            words = ops.where(over, PAD, ops.cast(ops.argmax(self.head(state[0][0]), axis=-1), "int32"))
            over = words == PAD
            yield words, state

    def _encode(self, image: Tensor, training: bool) -> tuple[Cell, State]:
        """Returns the decoder's cell and the state that it starts from."""
        features = ops.reshape(image, self._image)
        for convolution in self.convolutions:
            features = convolution(features)
        features = ops.reshape(features, (-1, *self.places.shape))  # [B, N, C]
        memory = self.dropout(self.join(features + self.places), training=training)  # [B, N, H]
        start = self.bridge(ops.mean(memory, axis=1))
        h, c = (ops.expand_dims(part, 0) for part in ops.split(start, 2, axis=-1))
        if isinstance(self.decoder, Attention):
            lengths = ops.full_like(start[:, 0], self.cells, dtype="int32")
            return self.decoder.over(memory, lengths), (ops.zeros_like(h), h, c)
        return self.decoder, (h, c)
