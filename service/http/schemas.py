"""Schemas of requests and responses. Each field has a description and an example."""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from service.http.texts import Sentences, Stop, Texts
from service.http.validation import MOST_ERRORS, Faults
from service.pipelines.generation import GenerationOptions
from service.text.offsets import Unit


class Strict(BaseModel):
    """An object without unknown fields and without type conversion."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _report_few_unknown_fields(cls, value: Any) -> Any:
        """Reports the first of many unknown fields; Pydantic would report each."""
        if isinstance(value, dict) and len(value) > len(cls.__pydantic_fields__) + MOST_ERRORS:
            faults, unknown = Faults(), [name for name in value if name not in cls.__pydantic_fields__]
            for name in unknown[:MOST_ERRORS]:
                faults.add((name.encode(errors="replace").decode(),), value[name], "extra_forbidden")
            faults.add_unlisted(len(unknown[MOST_ERRORS:]))
            faults.raise_any()
        return value


class Request(Strict):
    """A request to a model."""

    model: str | None = Field(
        None,
        description="Name of the model, one of those of /models, or its name and version: tagger-en/2. By default the"
        " first that does the task, in the version that serves.",
        examples=[None],
    )


OFFSETS: Any = Field(
    "code_points",
    description="What offsets count: code points (Python), utf16 code units (JavaScript, Java), utf8 bytes (Go).",
    examples=["code_points"],
)


class TagRequest(Request):
    """Texts to split and tag, or sentences that are split already: one of the two."""

    text: Texts | None = Field(
        None, description="A text, or a list of texts, to split and tag.", examples=["She didn't see it."]
    )
    tokens: Sentences | None = Field(
        None,
        description="Sentences, each a list of tokens, tagged as they are. Offsets are in the tokens joined by spaces.",
        examples=[None],
    )
    offsets: Unit = OFFSETS
    n_best: int = Field(
        1,
        ge=1,
        le=5,
        description="Number of most probable tags of each kind, per token; 1 returns the best only. JSON only.",
        examples=[1],
    )
    lemmas: bool = Field(
        True,
        description="Whether to return lemmas, if there is a lemmatizer. A new word takes another step.",
        examples=[True],
    )
    format: Literal["json", "conllu"] | None = Field(
        None,
        description="Format of the answer. By default the one preferred by the Accept header: application/json or"
        " text/x-conllu.",
        examples=["json"],
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.tokens is None):
            raise PydanticCustomError("one_of", "Input should have exactly one of the fields text and tokens")
        return self


class ClassifyRequest(Request):
    """Texts to classify."""

    text: Texts = Field(
        description="A text, or a list of texts, to classify.", examples=["A warm, funny, engaging film."]
    )
    contributions: bool = Field(
        False, description="Return what each token adds to the log-odds of the label.", examples=[False]
    )
    sentences: bool = Field(False, description="Also classify each sentence on its own.", examples=[False])
    offsets: Unit = OFFSETS


class GenerateRequest(Request):
    """Prompts to continue, and how."""

    prompt: Texts = Field(description="The text to continue, or a list of them.", examples=["ROMEO:"])
    max_tokens: int = Field(200, ge=1, description="Most tokens (characters) to generate.", examples=[40])
    temperature: float = Field(
        1.0,
        ge=0,
        le=10,
        description="Below 1 the probable becomes more probable; 0 always takes the most probable token.",
        examples=[0.7],
    )
    top_k: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="Sample from this many most probable tokens; 0 from all.",
        examples=[0],
    )
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Sample from the most probable tokens whose probabilities sum to this.",
        examples=[0.95],
    )
    seed: int | None = Field(
        None,
        ge=0,
        le=2**53 - 1,
        description="The same seed gives the same text. Random by default.",
        examples=[7],
    )
    n: int = Field(
        1,
        ge=1,
        le=128,
        description="Texts for each prompt. Their seeds count up from `seed`.",
        examples=[1],
    )
    stop: Stop = Field([], description="Strings before which the text ends.", examples=[["\n\n"]])
    logprobs: int | None = Field(
        None,
        ge=0,
        le=5,
        description="Return the log probability of each generated token and of this many most probable tokens at its"
        " position; by default none.",
        examples=[None],
    )
    stream: bool = Field(
        False, description="Send the text as server-sent events while it is generated.", examples=[False]
    )

    def options(self) -> GenerationOptions:
        """Returns what to generate."""
        return GenerationOptions(
            prompts=self.prompt,
            model=self.model,
            n=self.n,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stop,
            logprobs=self.logprobs,
        )


class Candidate(BaseModel):
    """A tag that a token may have."""

    tag: str = Field(description="The tag; of features, as CoNLL-U writes them, `_` for none.", examples=["PART"])
    probability: float = Field(description="Its probability, 0 to 1.", examples=[0.999948])


class NBest(BaseModel):
    """The most probable tags of each kind, the answer first."""

    upos: list[Candidate] = Field(
        description="Universal part-of-speech tags.",
        examples=[[{"tag": "PART", "probability": 0.999948}, {"tag": "ADV", "probability": 0.000021}]],
    )
    xpos: list[Candidate] = Field(
        description="Part-of-speech tags of the treebank.", examples=[[{"tag": "RB", "probability": 0.999948}]]
    )
    feats: list[Candidate] = Field(
        description="Universal features, all of a token as one tag.",
        examples=[[{"tag": "Polarity=Neg", "probability": 0.999948}]],
    )


class Token(BaseModel):
    """A token, its place in the text, and its tags."""

    text: str = Field(description="The token as it stands in the text.", examples=["n't"])
    start: int = Field(description="Offset of its beginning, in the unit that the request names.", examples=[7])
    end: int = Field(description="Offset of its end, the first that is not part of it.", examples=[10])
    upos: str = Field(description="Universal part-of-speech tag.", examples=["PART"])
    xpos: str = Field(description="Part-of-speech tag of the treebank.", examples=["RB"])
    feats: dict[str, str] = Field(description="Universal features.", examples=[{"Polarity": "Neg"}])
    confidence: float = Field(description="Probability of the UPOS tag, 0 to 1.", examples=[0.999948])
    lemma: str | None = Field(
        None,
        description="Its dictionary form; omitted if there is no lemmatizer for the tagger.",
        examples=["not"],
    )
    n_best: NBest | None = Field(
        None, description="Where `n_best` is above 1, the most probable tags.", examples=[None]
    )


class MultiwordToken(BaseModel):
    """A word of the text that is several tokens, as Universal Dependencies has it: "didn't" is "did" and "n't"."""

    text: str = Field(description="The word as it stands in the text.", examples=["didn't"])
    start: int = Field(description="Offset of its beginning.", examples=[4])
    end: int = Field(description="Offset of its end.", examples=[10])
    first: int = Field(description="Index of its first token in `tokens`, from 0.", examples=[1])
    last: int = Field(description="Index of its last token in `tokens`.", examples=[2])


class Sentence(BaseModel):
    """A sentence, its place in the text, and its tokens."""

    text: str = Field(description="The sentence as it stands in the text.", examples=["She didn't see it."])
    start: int = Field(description="Offset of its beginning.", examples=[0])
    end: int = Field(description="Offset of its end.", examples=[18])
    tokens: list[Token] = Field(
        description="Its tokens in order; what Universal Dependencies calls words.",
        examples=[
            [
                {
                    "text": "n't",
                    "start": 7,
                    "end": 10,
                    "upos": "PART",
                    "xpos": "RB",
                    "feats": {"Polarity": "Neg"},
                    "confidence": 0.999948,
                    "lemma": "not",
                }
            ]
        ],
    )
    multiword_tokens: list[MultiwordToken] = Field(
        description="Those of its tokens that are one word of the text. A client's own tokens are never joined.",
        examples=[[{"text": "didn't", "start": 4, "end": 10, "first": 1, "last": 2}]],
    )


class Tagged(BaseModel):
    """The sentences of one input; none for a blank text."""

    sentences: list[Sentence] = Field(description="The sentences in order.", examples=[[]])


LOG_ODDS = "In log-odds: ln p - ln (1 - p), in nats, where p is the probability of the label."


class Contribution(BaseModel):
    """A token and what it adds to the label."""

    text: str = Field(description="The token as it stands in the text.", examples=["funny"])
    start: int = Field(description="Offset of its beginning, in the unit that the request names.", examples=[8])
    end: int = Field(description="Offset of its end, the first that is not part of it.", examples=[13])
    contribution: float = Field(
        description=f"What the token adds, above 0 for the label, below 0 against it. {LOG_ODDS}", examples=[1.20442]
    )


class Contributions(BaseModel):
    """Why a text has its label: `baseline` and the contributions of all tokens sum to `score`."""

    label: str = Field(description="The label that is explained.", examples=["positive"])
    score: float = Field(
        description=f"{LOG_ODDS} Of a text classified in windows, their mean, weighted by length.",
        examples=[3.761],
    )
    baseline: float = Field(description=f"The model's value without any word. {LOG_ODDS}", examples=[-0.31])
    tokens: list[Contribution] = Field(
        description="The tokens of the text in order.",
        examples=[[{"text": "funny", "start": 8, "end": 13, "contribution": 1.20442}]],
    )


class ClassifiedSentence(BaseModel):
    """A sentence, classified on its own."""

    text: str = Field(description="The sentence as it stands in the text.", examples=["A warm, funny film."])
    start: int = Field(description="Offset of its beginning, in the unit that the request names.", examples=[0])
    end: int = Field(description="Offset of its end.", examples=[19])
    label: str = Field(description="The most probable label.", examples=["positive"])
    scores: dict[str, float] = Field(
        description="Probability of each label, 0 to 1.",
        examples=[{"negative": 0.005124, "neutral": 0.017586, "positive": 0.97729}],
    )


class Classified(BaseModel):
    """The classification of one input."""

    label: str = Field(description="The most probable label.", examples=["positive"])
    scores: dict[str, float] = Field(
        description="Probability of each label, 0 to 1.",
        examples=[{"negative": 0.005124, "neutral": 0.017586, "positive": 0.97729}],
    )
    contributions: Contributions | None = Field(
        None, description="On request: what each token adds to the label.", examples=[None]
    )
    sentences: list[ClassifiedSentence] | None = Field(
        None, description="On request: the classification of each sentence, in order.", examples=[None]
    )


LOGPROB = Field(
    description="Its log probability, in nats, by the model's own distribution: before temperature, top_k and top_p.",
    examples=[-0.693147],
)


class Logprob(BaseModel):
    """A token that could have been generated."""

    token: str = Field(description="The token (character).", examples=["W"])
    logprob: float = LOGPROB


class Choice(BaseModel):
    """A generated token, and what else was probable in its place."""

    token: str = Field(description="The token (character).", examples=["W"])
    logprob: float = LOGPROB
    top: list[Logprob] = Field(
        description="The most probable tokens in its place, the best first.",
        examples=[[{"token": "W", "logprob": -0.693147}, {"token": "T", "logprob": -1.203973}]],
    )


class Generated(BaseModel):
    """A continuation of a prompt."""

    text: str = Field(description="The continuation, without the prompt.", examples=["\nWhat, shall I speak?"])
    logprobs: list[Choice] | None = Field(
        None, description="On request: the generated tokens with their probabilities.", examples=[None]
    )
    finish_reason: Literal["stop", "length", "shutdown"] = Field(
        description="Why it ended: at a stop string, at max_tokens, or early because the service shut down.",
        examples=["length"],
    )
    tokens: int = Field(description="Tokens (characters) generated.", examples=[21])
    seed: int = Field(description="Gives this text again.", examples=[7])


class _Answer(BaseModel):
    model: str = Field(description="Name of the model that answered.", examples=["tagger-en"])
    version: str = Field(description="Its version.", examples=["1"])


class TagAnswer(_Answer):
    """One result an input, in order."""

    results: list[Tagged] = Field(description="The result of each input, in order.", examples=[[{"sentences": []}]])


class ClassifyAnswer(_Answer):
    """One result an input, in order."""

    results: list[Classified] = Field(
        description="The result of each input, in order.",
        examples=[[{"label": "positive", "scores": {"negative": 0.02, "positive": 0.98}}]],
    )


class GenerateAnswer(_Answer):
    """`n` results a prompt, in order."""

    results: list[Generated] = Field(
        description="The results of each prompt, in order.",
        examples=[[{"text": "\nWhat, shall I speak?", "finish_reason": "length", "tokens": 21, "seed": 7}]],
    )


CONLLU_EXAMPLE = """# generator = tagwerk, tagger-en/1
# newdoc id = 1
# sent_id = 1-1
# text = Don't!
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No|TokenRange=0:5
1\tDo\tdo\tAUX\tVB\tMood=Imp|VerbForm=Fin\t0\t_\t_\t_
2\tn't\tnot\tPART\tRB\tPolarity=Neg\t1\t_\t_\t_
3\t!\t!\tPUNCT\t.\t_\t2\t_\t_\tTokenRange=5:6

"""
EVENTS_EXAMPLE = """data: {"index":0,"text":"W"}

data: {"index":0,"text":"h"}

event: finish
data: {"index":0,"finish_reason":"length","tokens":2,"seed":7}

"""
