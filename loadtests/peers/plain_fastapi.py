"""The simplest app: FastAPI, and a call of the SavedModel for each request, in a batch of one.

    uvicorn loadtests.peers.plain_fastapi:app

It reads the same model store, tokenizes, encodes and decodes with the same code, gives the same answers and runs
TensorFlow on as many threads as the service. It lacks batches, slots, XLA and everything around them. Each endpoint is
there twice, as FastAPI's documentation offers both: `/def/…` runs in its pool of threads, `/async/…` on the event loop.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from loadtests.peers.texts import classified_pieces, tagged_answer, version_for
from loadtests.peers.workers import wait_for_others
from service.artifact.manifest import SAVED_MODEL, ModelVersion
from service.settings import load_settings
from service.tasks.generation import TextGeneration
from service.tasks.sentiment import Sentiment
from service.tasks.tagging import Tagging
from service.text.interruptible import finish
from service.text.tokenizer import Tokenizer
from service.text.vocabulary import RESERVED
from service.types import Array, Tensors

NO_LIMIT = 1_000_000  # tokens: no sentence is cut into windows

settings = load_settings()
tf.config.threading.set_intra_op_parallelism_threads(1)


class Model:
    """A SavedModel, called with one sequence at a time."""

    def __init__(self, version: ModelVersion) -> None:
        self._loaded = tf.saved_model.load(str(version.folder / SAVED_MODEL))
        self.signature = self._loaded.signatures[version.manifest.endpoint_name]

    def __call__(self, inputs: Tensors) -> dict[str, Array]:
        """Takes a sequence's arrays and returns its outputs, both without a batch axis."""
        length = len(inputs["word_ids"])
        tensors = {name: tf.constant(values[None]) for name, values in inputs.items()}
        outputs = self.signature(**tensors, lengths=tf.constant([length]))
        return {name: values.numpy()[0] for name, values in outputs.items()}


tokenizer = Tokenizer()
tagging = Tagging(version_for("tag"), NO_LIMIT)
sentiment = Sentiment(version_for("classify"), version_for("classify").manifest.length_buckets[-1])
generation = TextGeneration(version_for("generate"))
tagger, classifier, language_model = (Model(task.version) for task in (tagging, sentiment, generation))
characters = generation.version.vocabularies["characters"]
state_size = generation.version.manifest.endpoint.inputs["state"].axes[1]

app = FastAPI()


class TextBody(BaseModel):
    """A text to tag or classify."""

    text: str


class PromptBody(BaseModel):
    """A text to continue."""

    prompt: str
    max_tokens: int
    temperature: float = 1.0
    seed: int


def answer(version: ModelVersion, result: Mapping[str, Any]) -> JSONResponse:
    """Returns an answer as the service shapes it. FastAPI's own way from a dictionary is slower."""
    content = {"model": version.manifest.name, "version": version.manifest.version, "results": [result]}
    return JSONResponse(content)


@app.post("/def/tag")
def tag(body: TextBody) -> JSONResponse:
    """Tags a text."""
    sentences, tags = tokenizer.sentences(body.text), []
    for sentence in sentences:
        tokens = [token.text for token in sentence.tokens]
        outputs = tagger(finish(tagging.encode([tokens])).values)
        best = {f"{head}_id": p.argmax(-1) for head, p in outputs.items()}
        best["upos_probability"] = outputs["upos"].max(-1)
        tags += finish(tagging.decode([sentence.tokens], best, lemmas=False))
    return JSONResponse(tagged_answer(tagging, body.text, sentences, tags))


@app.post("/def/classify")
def classify(body: TextBody) -> JSONResponse:
    """Classifies a text."""
    pieces = classified_pieces(sentiment, finish(tokenizer.words(body.text)))
    probabilities = np.stack([classifier({"word_ids": piece})["probabilities"] for piece in pieces])
    classification = sentiment.decode(probabilities, list(map(len, pieces)))
    found = {"label": classification.label, "scores": classification.scores, "score": classification.score}
    return answer(sentiment.version, found)


@app.post("/def/generate")
def generate(body: PromptBody) -> JSONResponse:
    """Continues a prompt: reads it in one step, then takes one step a character."""
    random = np.random.default_rng(body.seed)
    ids, state = generation.encode(body.prompt).tolist(), tf.zeros([1, state_size])
    generated: list[int] = []
    while len(generated) < body.max_tokens:
        outputs = language_model.signature(ids=tf.constant([ids]), lengths=tf.constant([len(ids)]), state=state)
        state = outputs["state"]
        ids = [sample(outputs["logits"].numpy()[0], body.temperature, random)]
        generated += ids
    text = "".join(map(characters.string, generated))
    result = {"text": text, "finish_reason": "length", "tokens": len(generated), "seed": body.seed}
    return answer(generation.version, result)


def sample(logits: Array, temperature: float, random: np.random.Generator) -> int:
    """Picks an id; the most probable one at temperature 0. PAD and UNK are never picked."""
    logits = logits[len(RESERVED) :]
    if temperature == 0:
        return len(RESERVED) + int(logits.argmax())
    weights = np.exp((logits - logits.max()) / temperature).cumsum()
    return len(RESERVED) + int(weights.searchsorted(random.random() * weights[-1], side="right"))


@app.post("/async/tag")
async def tag_on_the_loop(body: TextBody) -> JSONResponse:
    """Tags a text, on the event loop."""
    return tag(body)


@app.post("/async/classify")
async def classify_on_the_loop(body: TextBody) -> JSONResponse:
    """Classifies a text, on the event loop."""
    return classify(body)


@app.post("/async/generate")
async def generate_on_the_loop(body: PromptBody) -> JSONResponse:
    """Continues a prompt, on the event loop."""
    return generate(body)


wait_for_others()
