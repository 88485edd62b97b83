"""POST /feedback: stores what a client says is right of a model's answer, where TAGWERK_FEEDBACK_DIR is set."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Self

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType

from service.api import request_schemas
from service.api.openapi.problems import INFER, responses
from service.api.request_schemas import Strict
from service.api.route import JsonRoute
from service.artifact.version import ModelVersion
from service.corrections.records import COLUMNS, CorrectedToken, Correction, as_text
from service.errors import Forbidden, InvalidFields, InvalidInput, TooLarge, shortened
from service.http.context import context_of, pipeline_run
from service.http.texts import UnicodeText, at_most
from service.http.validation import MOST_ERRORS
from service.pipelines.classification import classify
from service.pipelines.tagging import TaggedText, tag
from service.security.keys import Key

LONGEST_TEXT = 20_000  # characters
MOST_TOKENS = 1000  # that a request corrects
MOST_LABELS = 20  # that an error lists; of more, the most similar ones
SIMILAR = 3

router = APIRouter(route_class=JsonRoute, responses=responses(507, *INFER), tags=["Feedback"])
Feats = TypeAliasType(
    "Feats", Annotated[dict[str, str], at_most(MOST_LABELS), Field(description="Universal features.")]
)


class TokenCorrection(Strict):
    """A token, by its place in the answer of /tag, and those of its tags that are wrong there, as they are right."""

    sentence: int = Field(0, ge=0, description="Index of its sentence, from 0.", examples=[0])
    token: int = Field(ge=0, description="Index of the token in its sentence, from 0.", examples=[0])
    text: str | None = Field(
        None, description="Its text, as a check: if the model splits otherwise now, the request is refused."
    )
    upos: str | None = Field(None, description="Its universal part-of-speech tag.", examples=["VERB"])
    xpos: str | None = Field(None, description="Its part-of-speech tag of the treebank.", examples=["VB"])
    feats: Feats | None = Field(None, description="Its universal features, all of them.")
    lemma: UnicodeText | None = Field(None, description="Its dictionary form.", examples=["book"])


class FeedbackRequest(request_schemas.Request):
    """A text, and what is right of it: tags or a label."""

    text: UnicodeText | None = Field(None, description="The text, as it was sent.", examples=["Book a table."])
    tokens: Annotated[list[UnicodeText], Field(min_length=1)] | None = Field(
        None, description="Instead of the text, the tokens of a sentence, as they were sent."
    )
    tags: Annotated[list[TokenCorrection], at_most(MOST_TOKENS)] | None = Field(
        None,
        description="Of a tagger: the tokens that have other tags than the model gives them; none marks its answer as"
        " right. The model's own tags count for all others.",
        examples=[[{"token": 0, "upos": "VERB", "xpos": "VB"}]],
    )
    label: str | None = Field(
        None, description="Of a classifier: the label that is right; the one that the model gives marks it as right."
    )
    request_id: str | None = Field(
        None,
        pattern="^[!-~]{1,128}$",
        description="A note: the X-Request-ID of the answer, in visible ASCII characters.",
        examples=["order-1042"],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.tags is None) == (self.label is None):
            raise PydanticCustomError("one_of", "Input should be an object with exactly one of the fields tags, label")
        if (self.text is None) == (self.tokens is None) or (self.tokens is not None and self.tags is None):
            raise PydanticCustomError("one_of", "Input should be an object with text or, beside tags, tokens")
        return self


class FeedbackAnswer(BaseModel):
    """The correction is stored."""

    model: str = Field(description="Name of the model that is corrected.", examples=["tagger-en"])
    version: str = Field(description="Its version.", examples=["1"])
    changed: int = Field(description="How many tags or labels the model gives otherwise.", examples=[2])


@router.post(
    "/feedback",
    operation_id="feedback",
    status_code=201,
    response_model=FeedbackAnswer,
    summary="Correct an answer, or mark it as right",
)
async def feedback(body: FeedbackRequest, request: Request) -> Response:
    """Runs the model on the text, checks the correction against its labels, and stores text and correction in a file.

    Of several corrections of the same text, training reads the latest. Nothing is stored where the service has no
    TAGWERK_FEEDBACK_DIR: then the answer is 403.
    """
    files, key = context_of(request).corrections, request.scope["state"]["key"]
    if files is None:
        raise Forbidden("this service stores no corrections: its option TAGWERK_FEEDBACK_DIR is not set")
    text = " ".join(body.tokens or ()) if body.text is None else body.text
    if len(text) > LONGEST_TEXT:
        place = "/tokens" if body.text is None else "/text"
        raise TooLarge(place, f"{len(text)} characters", f"at most {LONGEST_TEXT}")
    run = pipeline_run(request)
    if body.label is not None:
        version, (classified,) = await classify(run, [text], model=body.model)
        correction = labelled(body, version, classified.classification.label, key)
    else:
        tokens = () if body.tokens is None else [body.tokens]
        version, (tagged,) = await tag(run, None if tokens else [text], tokens=tokens, model=body.model)
        correction = await asyncio.to_thread(corrected, body, version, tagged, key)
    await asyncio.to_thread(files.append, correction)
    answer = FeedbackAnswer(
        model=correction.model, version=correction.version, changed=sum(1 for _ in correction.changes())
    )
    return JSONResponse(answer.model_dump(), 201)


def labelled(body: FeedbackRequest, version: ModelVersion, given: str, key: Key | None) -> Correction:
    """Returns the correction of a label. Raises InvalidInput for one that the model does not have."""
    (labels,) = version.manifest.labels.values()
    label = body.label or ""
    if label not in labels:
        raise _no_label("/label", label, labels)
    return _correction(version, body.text or "", body, key).model_copy(
        update={"label": label, "was": given if given != label else None}
    )


def corrected(body: FeedbackRequest, version: ModelVersion, tagged: TaggedText, key: Key | None) -> Correction:
    """Returns the correction of the tags of a text. Raises InvalidInput."""
    sentences = [
        [
            CorrectedToken(
                text=token.text,
                start=token.start,
                end=token.end,
                continues=token.continues,
                upos=tags.upos,
                xpos=tags.xpos,
                feats=tags.feats,
                lemma=tags.lemma,
            )
            for token, tags in zip(sentence.tokens, of_sentence, strict=True)
        ]
        for sentence, of_sentence in zip(tagged.sentences, tagged.tags, strict=True)
    ]
    if not sentences:
        raise InvalidInput("/text", "it has no tokens", "a text with words")
    faults: list[InvalidInput] = []
    seen = set()
    for i, right in enumerate(body.tags or ()):
        place, where = f"/tags/{i}", (right.sentence, right.token)
        if right.sentence >= len(sentences):
            faults.append(InvalidInput(f"{place}/sentence", f"got {right.sentence}", _below(len(sentences))))
        elif right.token >= len(tokens := sentences[right.sentence]):
            faults.append(InvalidInput(f"{place}/token", f"got {right.token}", _below(len(tokens))))
        elif where in seen:
            faults.append(InvalidInput(f"{place}/token", f"got {right.token} twice", "each token once"))
        elif right.text not in (None, form := tokens[right.token].text):
            shown = shortened(right.text or "")
            faults.append(InvalidInput(f"{place}/text", f"got {shown!r}", f"{shortened(form)!r}, the token there"))
        else:
            seen.add(where)
            tokens[right.token] = _with_tags(tokens[right.token], right, version, place, faults)
    if faults:
        fields = [field for fault in faults[:MOST_ERRORS] for field in fault.fields]
        raise InvalidFields("; ".join(map(str, faults[:3])), fields, len(faults))
    return _correction(version, tagged.text, body, key).model_copy(
        update={"sentences": tuple(map(tuple, sentences)), "spaced": body.tokens is None}
    )


def _with_tags(
    token: CorrectedToken, right: TokenCorrection, version: ModelVersion, place: str, faults: list[InvalidInput]
) -> CorrectedToken:
    """Returns a token with the tags that are right; adds a fault for each that the model does not have."""
    changes, was = {}, {}
    for column in COLUMNS:
        value, given = getattr(right, column), getattr(token, column)
        if column == "lemma":
            if value is not None and given is None:
                faults.append(InvalidInput(f"{place}/lemma", "got a lemma", "none: the model gives no lemmas"))
        elif value is not None:
            labels = version.manifest.labels[column]
            value = _ordered(value, labels)
            if as_text(value) not in labels:
                faults.append(_no_label(f"{place}/{column}", as_text(value), labels))
        if value not in (None, given):
            changes[column], was[column] = value, given
    return token.model_copy(update=changes | {"was": was})


def _ordered(value: str | dict[str, str], labels: Iterable[str]) -> str | dict[str, str]:
    """Returns features in the order of the label that has the same ones, if any; a tag as it is."""
    if isinstance(value, str):
        return value
    pairs = set(map("=".join, value.items()))
    same = next((label for label in labels if set(label.split("|")) == pairs), "")
    return dict(pair.split("=", 1) for pair in same.split("|")) if same else value


def _correction(version: ModelVersion, text: str, body: FeedbackRequest, key: Key | None) -> Correction:
    return Correction(
        time=datetime.now(UTC),
        model=version.key.name,
        version=version.key.version,
        text=text,
        request_id=body.request_id,
        key=None if key is None else key.id,
    )


def _below(count: int) -> str:
    return "0 alone" if count == 1 else f"0 to {count - 1}"


def _no_label(place: str, got: str, labels: Iterable[str]) -> InvalidInput:
    """Returns the error of a label that the model does not have."""
    every = sorted(labels)
    shown = every if len(every) <= MOST_LABELS else [*get_close_matches(got[:200], every, SIMILAR, 0), "…"]
    return InvalidInput(place, f"got {shortened(got)!r}", f"a label of the model: {', '.join(shown)}")
