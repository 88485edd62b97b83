"""Times several encoders on a large answer as JSON, and the other parts of such a request.

    python -m loadtests.encoding

The answer is what /tag gives for a text of 5000 words. The encoders take turns, in one process; the table has medians.
"""

import json
import time
from collections.abc import Callable
from itertools import cycle, islice
from statistics import median
from typing import Any

import pydantic_core

from loadtests.peers.texts import tagged_answer
from loadtests.traffic import sentences
from service.api import answer_schemas
from service.pipelines.formats import to_json, write_tagged
from service.pipelines.tagging import TaggedText
from service.settings import load_settings
from service.store.serving import served
from service.tasks.tagging import Tag, Tagging
from service.text.interruptible import finish
from service.text.tokenizer import Tokenizer

WORDS = 5000
ROUNDS = 50


def measured(turns: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Returns the median milliseconds of each, after one turn that does not count."""
    seen: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(ROUNDS + 1):
        for name, act in turns.items():
            began = time.perf_counter()
            act()
            seen[name].append((time.perf_counter() - began) * 1000)
    return {name: median(all_[1:]) for name, all_ in seen.items()}


def main() -> None:
    """Prints the table."""
    (version,) = (v for v in served(load_settings())[0] if v.manifest.task == "tag")
    task, tokenizer = Tagging(version, version.manifest.length_buckets[-1]), Tokenizer()
    text = " ".join(islice(cycle(" ".join(sentences()).split()), WORDS))
    tag = Tag("PROPN", "NNP", {"Number": "Sing"}, 0.987654)
    split = tokenizer.sentences(text)
    tagged = TaggedText(text, split, [[tag] * len(sentence.tokens) for sentence in split])

    def build() -> dict[str, Any]:
        return tagged_answer(task, text, split, tagged.tags)

    def write() -> bytes:
        return b"".join(finish(write_tagged(version, [tagged])))

    content = build()
    checked = answer_schemas.TagAnswer.model_validate(content)
    encoders: dict[str, Callable[[], object]] = {
        "as served: in pieces, from the tags on": write,
        "msgspec": lambda: to_json(content),
        "pydantic_core.to_json": lambda: pydantic_core.to_json(content),
        "json": lambda: json.dumps(content, separators=(",", ":")).encode(),
        "Pydantic: a model that is there": lambda: checked.model_dump_json(exclude_none=True),
        "Pydantic: from the dict on": lambda: answer_schemas.TagAnswer.model_validate(content).model_dump_json(
            exclude_none=True
        ),
        "(beside it: splitting the text)": lambda: tokenizer.sentences(text),
        "(beside it: building the dict)": build,
    }
    written = [json.loads(one) for one in (write(), to_json(content), checked.model_dump_json(exclude_unset=True))]
    if written != [content] * 3:
        raise SystemExit("the encoders disagree")
    tokens = sum(len(sentence.tokens) for sentence in split)
    print(f"{tokens} tokens, {len(to_json(content)) / 1e6:.2f} MB of JSON; medians of {ROUNDS} turns")
    for name, ms in measured(encoders).items():
        print(f"{name:38} {ms:7.2f} ms")


if __name__ == "__main__":
    main()
