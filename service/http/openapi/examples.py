"""Examples of answers in the OpenAPI document, by the name of their schema, and of newline-delimited JSON."""

from typing import Any

from service.errors import InvalidInput
from service.http import problem


def _token(text: str, start: int, upos: str, xpos: str, feats: dict[str, str], confidence: float, lemma: str) -> Any:
    place = {"text": text, "start": start, "end": start + len(text)}
    return {**place, "upos": upos, "xpos": xpos, "feats": feats, "confidence": confidence, "lemma": lemma}


_PERSONAL = {"Number": "Sing", "Person": "3", "PronType": "Prs"}
_PAST = {"Mood": "Ind", "Number": "Sing", "Person": "3", "Tense": "Past", "VerbForm": "Fin"}
_SENTENCE = {
    "text": "She didn't see it.",
    "start": 0,
    "end": 18,
    "tokens": [
        _token("She", 0, "PRON", "PRP", {"Case": "Nom", "Gender": "Fem", **_PERSONAL}, 0.998526, "she"),
        _token("did", 4, "AUX", "VBD", _PAST, 0.994417, "do"),
        _token("n't", 7, "PART", "RB", {"Polarity": "Neg"}, 0.997385, "not"),
        _token("see", 11, "VERB", "VB", {"VerbForm": "Inf"}, 0.997382, "see"),
        _token("it", 15, "PRON", "PRP", {"Case": "Acc", "Gender": "Neut", **_PERSONAL}, 0.994994, "it"),
        _token(".", 17, "PUNCT", ".", {}, 0.990324, "."),
    ],
    "multiword_tokens": [{"text": "didn't", "start": 4, "end": 10, "first": 1, "last": 2}],
}
_TAGGED = {"model": "tagger-en", "version": "12", "results": [{"sentences": [_SENTENCE]}]}
_SCORES = {"negative": 0.003984, "neutral": 0.00696, "positive": 0.989056}
_RESULT = {"label": "positive", "scores": _SCORES, "score": 0.985072}
_CLASSIFIED = {"model": "sentiment-en", "version": "8", "results": [_RESULT]}
_CONTINUATION = "\nTherefore comes that young sir, though "
_TEXT = {"text": _CONTINUATION, "finish_reason": "length", "tokens": 40, "seed": 7}
_GENERATED = {"model": "lm-shakespeare", "version": "4", "results": [_TEXT]}
_TAGGER = {
    "name": "tagger-en",
    "version": "12",
    "state": "ready",
    "reason": None,
    "task": "tag",
    "description": "Tags English words with universal parts of speech, Penn Treebank tags, features and lemmas",
    "share": 1.0,
    "default": True,
}
LIMITS = {"items": 1024, "text_characters": 200_000, "body_bytes": 4_194_304, "generated_tokens": 4096}
_CLASSIFIER = _TAGGER | {
    "name": "sentiment-en",
    "version": "8",
    "task": "classify",
    "description": "Tells whether an English text is negative, neutral or positive",
}
_MANIFEST = {"name": "tagger-en", "version": "12", "task": "tag", "language": "en", "licence": "CC BY-SA 4.0"}
_COMPLETION_MODEL = {"id": "lm-shakespeare", "object": "model", "created": 1795302293, "owned_by": "tagwerk"}
_TEXT_INPUT = {"name": "text", "datatype": "BYTES", "shape": [-1]}

ANSWERS: dict[str, Any] = {
    "TagAnswer": _TAGGED,
    "ClassifyAnswer": _CLASSIFIED,
    "GenerateAnswer": _GENERATED,
    "ModelList": {"models": [_CLASSIFIER, _TAGGER], "limits": LIMITS},
    "ModelDetail": {**_TAGGER, "manifest": _MANIFEST},
    "Liveness": {"status": "alive"},
    "Readiness": {"status": "ready", "models": [_CLASSIFIER, _TAGGER]},
    "Models": {"object": "list", "data": [_COMPLETION_MODEL]},
    "Model": _COMPLETION_MODEL,
    "Completion": {
        "id": "cmpl-6f1c0b7d2a954e3c8f10d4b2a7e95c63",
        "object": "text_completion",
        "created": 1795328662,
        "model": "lm-shakespeare",
        "system_fingerprint": "lm-shakespeare/4",
        "choices": [{"text": _CONTINUATION, "index": 0, "logprobs": None, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 6, "completion_tokens": 40, "total_tokens": 46},
    },
    "ServerMetadata": {"name": "tagwerk", "version": "0.2.0", "extensions": ["binary_tensor_data"]},
    "Live": {"live": True},
    "Ready": {"ready": True},
    "ModelReady": {"name": "sentiment-en", "ready": True},
    "ModelMetadata": {
        "name": "sentiment-en",
        "versions": ["5"],
        "platform": "tensorflow_savedmodel",
        "inputs": [_TEXT_INPUT],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "score", "datatype": "FP32", "shape": [-1]},
        ],
    },
    "InferenceResponse": {
        "model_name": "sentiment-en",
        "model_version": "5",
        "id": "42",
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["positive"]},
            {"name": "probabilities", "datatype": "FP32", "shape": [1, 3], "data": [*_SCORES.values()]},
            {"name": "score", "datatype": "FP32", "shape": [1], "data": [0.985072]},
        ],
    },
    "ModelServing": {"version": "6", "canary": {"version": "7", "share": 0.1}},
}

_NO_TEXT = problem.document(InvalidInput("/text", "got 7", "a string or a list of strings"))
_NO_PROMPT = problem.document(InvalidInput("/prompt", "got 7", "a string or a list of strings"))
_FAILED = {"id": 2, "error": _NO_TEXT}
# Lines of a request, and those that answer them.
TAG_LINES = [{"id": 1, "text": "She didn't see it."}, {"id": 2, "text": 7}], [{"id": 1, **_TAGGED}, _FAILED]
CLASSIFY_LINES = (
    [{"id": 1, "text": "A warm, funny, engaging film."}, {"id": 2, "text": 7}],
    [{"id": 1, **_CLASSIFIED}, _FAILED],
)
GENERATE_LINES = (
    [{"id": 1, "prompt": "ROMEO:", "max_tokens": 40, "temperature": 0.7, "seed": 7}, {"id": 2, "prompt": 7}],
    [{"id": 1, **_GENERATED}, {"id": 2, "error": _NO_PROMPT}],
)
METRICS = """# HELP tagwerk_requests_total Requests answered, by route and status.
# TYPE tagwerk_requests_total counter
tagwerk_requests_total{route="/tag",status="200"} 1042.0
"""
