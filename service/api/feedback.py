"""POST /feedback: stores what a client says is right of a model's answer, where TAGWERK_FEEDBACK_DIR is set."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Annotated, Any, Self

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from service.api import request_schemas
from service.api.openapi import INFER, responses
from service.api.request_schemas import Strict
from service.api.route import JsonRoute
from service.artifact.manifest import ModelVersion
from service.errors import Forbidden, InvalidFields, InvalidInput, TooLarge, shortened
from service.http.context import context_of, pipeline_run
from service.http.validation import MOST_ERRORS, UnicodeText, at_most
from service.paths import FEEDBACK
from service.pipelines.classification import classify
from service.pipelines.tagging import TaggedText, tag
from service.store.corrections import CorrectedToken, Correction
from service.tasks.tagging import Tag
from service.text.conllu import write_features

LONGEST_TEXT = 20_000  # characters
MOST_TOKENS = 1000  # that a request corrects
COLUMNS = ("upos", "xpos", "feats", "lemma")
SIMILAR = 3  # labels that an error names

router = APIRouter(route_class=JsonRoute, responses=responses(507, *INFER), tags=["Feedback"])


class TokenCorrection(Strict):
    """A token, by its place in the answer of /tag, and those of its tags that are wrong there, as they are right."""

    sentence: int = Field(0, ge=0, description="Index of its sentence, from 0.", examples=[0])
    token: int = Field(ge=0, description="Index of the token in its sentence, from 0.", examples=[0])
    text: str | None = Field(
        None, description="Its text, as a check: if the model splits otherwise now, the request is refused."
    )
    upos: str | None = Field(None, description="Its universal part-of-speech tag.", examples=["VERB"])
    xpos: str | None = Field(None, description="Its part-of-speech tag of the treebank.", examples=["VB"])
    feats: str | None = Field(
        None, description="Its universal features as CoNLL-U writes them, `_` for none.", examples=["VerbForm=Inf"]
    )
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
        " right. All others count as its answer has them.",
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
    FEEDBACK,
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
        (labels,) = version.manifest.labels.values()
        if body.label not in labels:
            raise _no_label("/label", body.label, labels)
        given = classified.classification.label
        right = {"label": body.label, "was": given if given != body.label else None}
    else:
        tokens = () if body.tokens is None else [body.tokens]
        version, (tagged,) = await tag(run, None if tokens else [text], tokens=tokens, model=body.model)
        right = await asyncio.to_thread(check_tags, body.tags or (), version, tagged)
    correction = Correction(
        time=datetime.now(UTC),
        model=version.key.name,
        version=version.key.version,
        text=text,
        spaced=body.tokens is None,
        request_id=body.request_id,
        key=None if key is None else key.id,
        **right,
    )
    await asyncio.to_thread(files.append, correction)
    changed = len(correction.changes())
    answer = FeedbackAnswer(model=version.key.name, version=version.key.version, changed=changed)
    return JSONResponse(answer.model_dump(), 201)


def check_tags(tags: Sequence[TokenCorrection], version: ModelVersion, tagged: TaggedText) -> dict[str, Any]:
    """Returns the fields of a correction of tags. Raises InvalidInput."""
    sentences: list[list[CorrectedToken]] = []
    for sentence, found in zip(tagged.sentences, tagged.tags, strict=True):
        own = tagged.replaced[len(sentences)] if tagged.replaced else {}  # the model's, where a dictionary's are others
        tags_of_model = [own.get(i, given) for i, given in enumerate(found)]
        pairs = zip(sentence.tokens, tags_of_model, strict=True)
        sentences.append([CorrectedToken(**token._asdict(), **_columns(given)) for token, given in pairs])
        for i in own:
            sentences[-1][i] = _with_tags(sentences[-1][i], _columns(found[i]))
    faults: list[InvalidInput] = []
    corrected: set[tuple[int, int]] = set()
    for i, right in enumerate(tags):
        place, tokens = f"/tags/{i}", sentences[right.sentence] if right.sentence < len(sentences) else []
        twice = (right.sentence, right.token) in corrected
        if right.token >= len(tokens):
            problem = f"there is no token {right.token} in sentence {right.sentence}"
            faults.append(InvalidInput(f"{place}/token", problem, "a token of the text, counted from 0"))
        elif twice or right.text not in (None, tokens[right.token].text):
            there = tokens[right.token].text
            problem = f"the token is {shortened(there)!r}" + (", which is corrected already" if twice else "")
            faults.append(InvalidInput(f"{place}/text", problem, "each token once, with its text"))
        else:
            corrected.add((right.sentence, right.token))
            tokens[right.token] = _corrected(tokens[right.token], right, version, place, faults)
    if not sentences:
        faults.append(InvalidInput("/text", "it has no tokens", "a text with words"))
    if faults:
        fields = [field for fault in faults[:MOST_ERRORS] for field in fault.fields]
        raise InvalidFields("; ".join(map(str, faults[:3])), fields, len(faults))
    return {"sentences": sentences}


def _corrected(
    token: CorrectedToken, right: TokenCorrection, version: ModelVersion, place: str, faults: list[InvalidInput]
) -> CorrectedToken:
    """Returns a token with the tags that are right; adds a fault for each that the model does not have."""
    given = right.model_dump(exclude={"sentence", "token", "text"}, exclude_none=True)
    for column, value in given.items():
        if column == "lemma":
            if token.lemma is None:
                faults.append(InvalidInput(f"{place}/lemma", "got a lemma", "none: the model gives no lemmas"))
        elif value not in version.manifest.labels[column]:
            faults.append(_no_label(f"{place}/{column}", value, version.manifest.labels[column]))
    return _with_tags(token, given)


def _with_tags(token: CorrectedToken, given: dict[str, Any]) -> CorrectedToken:
    """Returns a token with other tags, and in `was` those of the model that are not right."""
    before = {column: getattr(token, column) for column in COLUMNS}
    was = {column: value for column, value in (before | dict(token.was)).items() if value != (before | given)[column]}
    return token.model_copy(update={**given, "was": was})


def _columns(tag: Tag) -> dict[str, Any]:
    """Returns a tag as the columns of a correction."""
    return {"upos": tag.upos, "xpos": tag.xpos, "feats": write_features(tag.feats), "lemma": tag.lemma}


def _no_label(place: str, got: str, labels: Sequence[str]) -> InvalidInput:
    """Returns the error of a label that the model does not have."""
    similar = ", ".join(get_close_matches(got[:200], labels, SIMILAR, 0))
    return InvalidInput(place, f"got {shortened(got)!r}", f"one that /models/{{name}} lists, such as {similar}")
