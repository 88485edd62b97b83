"""What the clients ask: the bodies of the requests to each endpoint, the same for every server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SENTENCES = Path(__file__).with_name("sentences.txt")
PROMPT_CHARACTERS = 20
GENERATED_CHARACTERS = 40

Body = Mapping[str, Any]


def bodies(endpoint: str) -> list[Body]:
    """Returns the JSON bodies for "tag", "classify" or "generate": one sentence or prompt each."""
    sentences = SENTENCES.read_text(encoding="utf-8").splitlines()
    if endpoint == "generate":
        prompts = [sentence[:PROMPT_CHARACTERS] for sentence in sentences]
        return [
            {"prompt": prompt, "max_tokens": GENERATED_CHARACTERS, "seed": seed} for seed, prompt in enumerate(prompts)
        ]
    return [{"text": sentence} for sentence in sentences]
