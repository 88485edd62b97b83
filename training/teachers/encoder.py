"""The pretrained transformer of a teacher, and the word pieces that it reads (Devlin et al. 2019)."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer, logging

PIECES_OF_A_WORD = 8  # further ones are left out
LONGEST = 500  # pieces of a text; the network has 512 positions
logging.set_verbosity_error()  # not a table of the weights that no teacher uses, nor a bar of loading the others
logging.disable_progress_bar()
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def computes_bfloat16(device: torch.device) -> bool:
    """Returns whether a device has instructions for bfloat16; to emulate them takes longer than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return any(there for name, there in torch.cpu.get_capabilities().items() if name.endswith("bf16"))


class Encoder(nn.Module):  # type: ignore[misc]
    """Computes contextual vectors of word pieces.

    Matrix products are in bfloat16 on a device that has instructions for it, which is as good for tuning.

    Args:
        folder: of a pretrained transformer, in the format of Transformers.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.network = AutoModel.from_pretrained(folder, add_pooling_layer=False)
        self.width: int = self.network.config.hidden_size
        self._bfloat16 = computes_bfloat16(DEVICE)

    def forward(self, ids: Tensor, mask: Tensor, layers: int = 1) -> tuple[Tensor, ...]:
        """Returns the outputs of the last layers, in their order, each [B, P, H] float32. ids, mask: [B, P] int64."""
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=self._bfloat16):
            outputs = self.network(ids, attention_mask=mask, output_hidden_states=layers > 1)
        # Keeping all layers costs a sixth of the time of a pass on a CPU.
        states = outputs.hidden_states[-layers:] if layers > 1 else (outputs.last_hidden_state,)
        return tuple(state.float() for state in states)


class Pieces:
    """Splits words into the word pieces of a pretrained transformer.

    Args:
        folder: see Encoder.
    """

    def __init__(self, folder: Path) -> None:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        self._first, self._last, self._padding = tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id

        @lru_cache(200_000)
        def of_word(word: str) -> tuple[int, ...]:
            pieces = tokenizer([word], is_split_into_words=True, add_special_tokens=False).input_ids
            return tuple(pieces[:PIECES_OF_A_WORD]) or (tokenizer.unk_token_id,)

        self.of_word = of_word

    def count(self, words: Sequence[str]) -> int:
        """Returns the number of pieces of a text."""
        return sum(len(self.of_word(word)) for word in words)

    def batch(self, texts: Sequence[Sequence[str]]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns ids and mask of the pieces, [B, P], and the first piece of each word, [B, T]; all int64."""
        rows, starts = [], []
        for words in texts:
            row, begins = [self._first], []
            for word in words:
                begins.append(min(len(row), LONGEST))
                row += self.of_word(word)
            rows.append(torch.tensor([*row[:LONGEST], self._last]))
            starts.append(torch.tensor(begins))
        pad = nn.utils.rnn.pad_sequence
        ids = pad(rows, batch_first=True, padding_value=self._padding)
        mask = pad([torch.ones_like(row) for row in rows], batch_first=True)
        return ids.to(DEVICE), mask.to(DEVICE), pad(starts, batch_first=True).to(DEVICE)
