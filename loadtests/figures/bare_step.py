"""Times the tagger's step alone: for each line that it reads, seconds to spend, it prints the median in milliseconds.

The sentences are those of the load, tokenized, encoded and padded beforehand, each a batch of one.
"""

import sys
import time
from itertools import cycle
from statistics import median

from loadtests.traffic import bodies
from service.backend.saved_model import TensorFlowBackend
from service.engine.padding import Grid, Tensors, pad
from service.registry import newest
from service.settings import load_settings
from service.tasks.tagging import Tagging
from service.text.spacy_tokenizer import SpacyTokenizer


def main() -> None:
    """Loads the model as the engine does; says `ready`, then times."""
    settings = load_settings()
    version = next(version for version in newest(settings.model_store) if version.manifest.task == "tag")
    backend = TensorFlowBackend(settings.device, settings.device_threads)
    model = backend.load_sequence_model(version.folder, version.manifest)
    grid = Grid((1,), settings.length_buckets or version.manifest.length_buckets)
    for _ in model.warm_up(grid.shapes):
        pass
    tagging, tokenizer = Tagging(version, grid.lengths[-1]), SpacyTokenizer()
    batches: list[Tensors] = []
    for body in bodies("tag"):
        for sentence in tokenizer.sentences(body["text"]):
            for piece in tagging.encode([token.text for token in sentence.tokens]):
                shape = 1, grid.bucket(len(piece["word_ids"]))
                batches.append(pad([piece], version.manifest.endpoint.inputs, shape).inputs)
    for batch in batches:
        model.run(batch)
    print("ready", flush=True)
    for line in sys.stdin:
        ends, seconds = time.perf_counter() + float(line), []
        for batch in cycle(batches):
            began = time.perf_counter()
            model.run(batch)
            seconds.append(time.perf_counter() - began)
            if began > ends:
                break
        print(1000 * median(seconds), flush=True)


if __name__ == "__main__":
    main()
