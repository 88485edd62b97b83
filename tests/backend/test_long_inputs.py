"""Long inputs on the committed models: windows and pieces against the whole."""

import numpy as np
import pytest

from service.artifact.manifest import ModelVersion
from service.backend.saved_model import TensorFlowBackend
from service.engine.batches import pad
from service.engine.scheduler import Grid
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tag, Tagging, windows
from service.text.slices import finish
from service.text.spacy_tokenizer import SpacyTokenizer
from service.text.tokenizer import Token
from service.types import Array, Ragged
from tests.backend.test_saved_model import backend, newest  # noqa: F401 (a fixture)

CLAUSES = (
    "the old captain who had lost his ship told us that nobody believed him",
    "she reads the morning paper before her children wake up and leave for school",
    "they will probably sell the house near the river next year",
    "I can't say whether the meeting was useful for anyone there",
    "two dogs ran quickly across the muddy field behind the church",
)


def tokens_of(clauses: int) -> list[str]:
    text = " and ".join(CLAUSES[i % len(CLAUSES)] for i in range(clauses)) + "."
    return [token.text for token in SpacyTokenizer().tokens(text)]


def outputs_of(version: ModelVersion, model, grid: Grid, sequences: Ragged) -> dict[str, Array]:
    found: list[dict[str, Array]] = []
    for one in sequences.split([1] * len(sequences)):
        found.append(model.start(pad(one, (1, grid.bucket(one.tokens))))())
    return {name: np.concatenate([output[name] for output in found]) for name in found[0]}


GRID = Grid((1,), (64, 320))


@pytest.fixture(scope="module")
def tagger(backend: TensorFlowBackend):  # noqa: F811
    """A version of a tagger, and its model with the steps of GRID."""
    version = newest("tagger-en")
    model = backend.load_sequence_model(version.folder, version.manifest)
    list(model.warm_up(GRID.batch_sizes, GRID.capacity))
    return version, model


@pytest.mark.parametrize("clauses", [6, 9, 21])
def test_a_long_sentence_is_tagged_in_windows_as_it_would_be_whole(tagger, clauses):
    version, model = tagger
    tokens = tokens_of(clauses)

    def tags(longest: int) -> list[Tag]:
        tagging = Tagging(version, longest)
        outputs = outputs_of(version, model, GRID, finish(tagging.encode([tokens])))
        (found,) = finish(tagging.decode([[Token(token, 0, 0) for token in tokens]], outputs, lemmas=True))
        return found

    whole, seen_in_windows = tags(320), tags(64)
    assert len(whole) == len(seen_in_windows) == len(tokens) > 64
    for window in windows(len(tokens), 64):
        for seam in {window.keep_start, window.keep_end} - {0, len(tokens)}:
            near = slice(seam - 8, seam + 8)
            assert [tag.upos for tag in seen_in_windows[near]] == [tag.upos for tag in whole[near]]
    same = [tag[:3] == other[:3] for tag, other in zip(whole, seen_in_windows, strict=True)]
    assert np.mean(same) > 0.98


def test_all_pieces_of_a_long_text_count(backend: TensorFlowBackend):  # noqa: F811
    version = newest("sentiment-en")
    model = backend.load_sequence_model(version.folder, version.manifest)
    longest = version.manifest.length_buckets[-1]
    grid = Grid((1,), (longest,))
    list(model.warm_up(grid.batch_sizes, grid.capacity))
    sentiment = Sentiment(version, longest)

    def positive(tokens: list[str]) -> float:
        ids: list[int] = []
        lengths = sentiment.encode(tokens, ids)
        assert len(lengths) == -(-len(tokens) // longest)
        assert sum(lengths) == len(tokens) == len(ids), "a word is left out"
        sequences = Ragged(np.array(lengths, np.int32), {"word_ids": np.array(ids, np.int32)})
        outputs = outputs_of(version, model, grid, sequences)
        return sentiment.decode(outputs["probabilities"], lengths).scores["positive"]

    filler = "it runs for ninety minutes .".split() * 40
    praise = "it is wonderful , brilliant and moving .".split() * 8
    plain = positive(filler)
    for place in (0, 100, len(filler)):
        assert positive([*filler[:place], *praise, *filler[place:]]) > plain + 0.1, f"praise at {place} does not count"
