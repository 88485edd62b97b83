"""The pipeline of spaCy that is compared with the service: its shape, where it is kept, and how accurate it is."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / ".cache" / "spacy-ewt"
WIDTH = 96
TOK2VEC: dict[str, Any] = {  # as in the pipelines for English that spaCy publishes for processors, en_core_web_sm
    "@architectures": "spacy.Tok2Vec.v2",
    "embed": {
        "@architectures": "spacy.MultiHashEmbed.v2",
        "width": WIDTH,
        "attrs": ["NORM", "PREFIX", "SUFFIX", "SHAPE", "SPACY", "IS_SPACE"],
        "rows": [5000, 1000, 2500, 2500, 50, 50],
        "include_static_vectors": False,
    },
    "encode": {
        "@architectures": "spacy.MaxoutWindowEncoder.v2",
        "width": WIDTH,
        "depth": 4,
        "window_size": 1,
        "maxout_pieces": 3,
    },
}
TAGGER: dict[str, Any] = {
    "@architectures": "spacy.Tagger.v2",
    "tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": WIDTH},
}


def accuracy() -> str:
    """Returns the accuracies on the gold tokens of EWT's test part. Raises RuntimeError where it is not trained."""
    try:
        meta = json.loads((FOLDER / "meta.json").read_text())
    except FileNotFoundError:
        raise RuntimeError("spaCy's pipeline is not trained; `make spacy` trains it") from None
    return ", ".join(f"{name} {100 * share:.2f} %" for name, share in meta["performance"].items())
