"""Subwords: words and frequent parts of words, learned from texts by byte-pair encoding."""

from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from service.text.vocabulary import PAD, RESERVED
from training.data.dataset import Array


class Subwords:
    """Splits texts into subwords, and joins them again (Sennrich et al. 2016).

    Each word begins with "▁", which is the space before it; a punctuation mark is a subword of its own. Joined again, a
    text is what it was but for white space at its beginning and characters that the texts learned from do not have.

    Args:
        texts: to learn from.
        size: number of ids at most, V, PAD and UNK included; the characters of the texts alone may be more.
    """

    def __init__(self, texts: Iterable[str], size: int) -> None:
        self._tokenizer = Tokenizer(models.BPE(unk_token=RESERVED[1]))
        self._tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
        )
        self._tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(RESERVED), show_progress=False)
        self._tokenizer.train_from_iterator(texts, trainer)

    def __len__(self) -> int:
        """Number of ids, PAD and UNK included: the number of rows of an embedding."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, text: str) -> Array:
        """Returns the ids of a text's subwords, int32, shape [T]."""
        return np.array(self._tokenizer.encode(text).ids, np.int32)

    def split(self, text: str) -> list[str]:
        """Returns the subwords of a text."""
        return list(self._tokenizer.encode(text).tokens)

    def string(self, id: int) -> str:
        """Returns the subword of an id."""
        return str(self._tokenizer.id_to_token(id))

    def decode(self, ids: Sequence[int]) -> str:
        """Returns the text of ids up to the first PAD."""
        ids = list(ids)
        end = ids.index(PAD) if PAD in ids else len(ids)
        return str(self._tokenizer.decode(ids[:end]))
