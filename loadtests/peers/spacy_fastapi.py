"""spaCy behind FastAPI: a pipeline of a tok2vec, a tagger and a trainable lemmatizer, one call a request.

    uvicorn loadtests.peers.spacy_fastapi:app --workers 2

`python -m loadtests.peers.spacy_training` trains the pipeline, a model of its own: its answers have UPOS and lemmas, no
other tags and no confidences, and are not those of the service. The endpoint is there twice, as the plain app's are.
"""

from typing import Any

import spacy
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from loadtests.peers.spacy_model import FOLDER
from loadtests.peers.workers import wait_for_others

nlp = spacy.load(FOLDER)
app = FastAPI()


class TextBody(BaseModel):
    """A text to tag."""

    text: str


@app.post("/def/tag")
def tag(body: TextBody) -> JSONResponse:
    """Tags a text and lemmatizes its words."""
    tokens: list[dict[str, Any]] = [
        {
            "text": token.text,
            "start": token.idx,
            "end": token.idx + len(token),
            "upos": token.tag_,
            "lemma": token.lemma_,
        }
        for token in nlp(body.text)
    ]
    return JSONResponse({"results": [{"tokens": tokens}]})


@app.post("/async/tag")
async def tag_on_the_loop(body: TextBody) -> JSONResponse:
    """Tags a text, on the event loop."""
    return tag(body)


wait_for_others()
