"""Times the tagger's steps alone: for each line that it reads, it prints the median of a request's in milliseconds.

A line has the seconds to spend and the seed of the text: that of `loadtests.client`, whose requests these are. They are
tokenized, encoded and padded before their steps, each of which is a batch of one. A word that is new is new here, too.
"""

import random
import sys
import time
from statistics import median

from loadtests.text import endless_text
from service.backend.saved_model import TensorFlowBackend
from service.engine.scheduler import Grid
from service.settings import load_settings
from service.store.serving import served
from service.tasks.tagging import Tagging
from service.text.interruptible import finish
from service.text.tokenizer import Tokenizer
from service.types import pad


def main() -> None:
    """Loads the model as the engine does; says `ready`, then times."""
    settings = load_settings()
    version = next(version for version in served(settings)[0] if version.manifest.task == "tag")
    backend = TensorFlowBackend(settings.device)
    model = backend.load_sequence_model(version.folder, version.manifest)
    grid = Grid((1,), version.manifest.length_buckets)
    for _ in model.warm_up(grid.batch_sizes, grid.capacity):
        pass
    tagging, tokenizer = Tagging(version, grid.lengths[-1]), Tokenizer()

    def step_seconds(text: str) -> float:
        """Returns the time of a request's steps."""
        seconds = 0.0
        for sentence in tokenizer.sentences(text):
            sequences = finish(tagging.encode([[token.text for token in sentence.tokens]]))
            for one in sequences.split([1] * len(sequences)):
                batch = pad(one, (1, one.tokens))
                began = time.perf_counter()
                model.start(batch)()
                seconds += time.perf_counter() - began
        return seconds

    print("ready", flush=True)
    for line in sys.stdin:
        seconds, seed = line.split()
        ends, times = time.perf_counter() + float(seconds), []
        for text in endless_text(random.Random(int(seed))):
            times.append(step_seconds(text))
            if time.perf_counter() > ends:
                break
        print(1000 * median(times), flush=True)


if __name__ == "__main__":
    main()
