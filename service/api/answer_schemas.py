"""Schemas of answers. Each field has a description and an example."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field
from typing_extensions import TypeAliasType


class Candidate(BaseModel):
    """A tag that a token may have."""

    tag: str = Field(description="The tag; of features, as CoNLL-U writes them, `_` for none.", examples=["PART"])
    probability: float = Field(description="Its probability, 0 to 1.", examples=[0.999948])


class NBest(BaseModel):
    """The most probable tags of each kind, the answer first."""

    upos: list[Candidate] = Field(description="Universal part-of-speech tags.")
    xpos: list[Candidate] = Field(description="Part-of-speech tags of the treebank.")
    feats: list[Candidate] = Field(description="Universal features, all of a token as one tag.")


class Span(BaseModel):
    """A part of a text; offsets are in the unit that the request names."""

    text: str = Field(description="The part as it stands in the text.", examples=["n't"])
    start: int = Field(description="Offset of its beginning.", examples=[7])
    end: int = Field(description="Offset of its end, the first that is not part of it.", examples=[10])


class Token(Span):
    """A token, its place in the text, and its tags."""

    upos: str = Field(description="Universal part-of-speech tag.", examples=["PART"])
    xpos: str = Field(description="Part-of-speech tag of the treebank.", examples=["RB"])
    feats: dict[str, str] = Field(description="Universal features.", examples=[{"Polarity": "Neg"}])
    confidence: float = Field(description="Probability of the UPOS tag, 0 to 1.", examples=[0.999948])
    lemma: str | None = Field(None, description="Its dictionary form; omitted if there is none.", examples=["not"])
    source: Literal["dictionary"] | None = Field(
        None, description="`dictionary` if the model's dictionary has replaced some of the tags; otherwise omitted."
    )
    n_best: NBest | None = Field(None, description="Where `n_best` is above 1, the most probable tags.")


class MultiwordToken(Span):
    """A word of the text that is several tokens, as Universal Dependencies has it: "didn't" is "did" and "n't"."""

    first: int = Field(description="Index of its first token in `tokens`, from 0.", examples=[1])
    last: int = Field(description="Index of its last token in `tokens`.", examples=[2])


class Sentence(Span):
    """A sentence, its place in the text, and its tokens."""

    tokens: list[Token] = Field(description="Its tokens in order; what Universal Dependencies calls words.")
    multiword_tokens: list[MultiwordToken] = Field(
        description="The words of the text that are several tokens. A client's own tokens are never joined."
    )


class Tagged(BaseModel):
    """The sentences of one input; none for a blank text."""

    language: str | None = Field(
        None,
        description="With the language auto: the language that the text is identified as; `und` without letters.",
        examples=["en"],
    )
    probability: float | None = Field(
        None, description="With the language auto: the probability of the language, 0 to 1.", examples=[0.998721]
    )
    model: str | None = Field(None, description="With the language auto: the model that has tagged the text.")
    version: str | None = Field(None, description="With the language auto: its version.")
    sentences: list[Sentence] = Field(description="The sentences in order.")


LOG_ODDS = "In log-odds: ln p - ln (1 - p), in nats, where p is the probability of the label."


class Contribution(Span):
    """A token and what it adds to the label that is explained."""

    contribution: float = Field(
        description=f"What the token adds, above 0 for the label, below 0 against it. {LOG_ODDS}", examples=[1.20442]
    )


class Contributions(BaseModel):
    """The explanation of a label: `baseline` and the contributions of all tokens sum to `score`."""

    label: str = Field(description="The label that the request names, or the most probable.", examples=["positive"])
    score: float = Field(
        description=f"{LOG_ODDS} Of a text classified in windows, their mean, weighted by length. The result's own"
        " `score` is a difference of probabilities instead.",
        examples=[3.761],
    )
    baseline: float = Field(description=f"The model's value without any word. {LOG_ODDS}", examples=[-0.31])
    tokens: list[Contribution] = Field(description="The tokens of the text in order.")


class Labelled(BaseModel):
    """A label and its probability."""

    label: str = Field(description="The most probable label.", examples=["positive"])
    scores: dict[str, float] = Field(
        description="Probability of each label, 0 to 1.",
        examples=[{"negative": 0.005124, "neutral": 0.017586, "positive": 0.97729}],
    )
    score: float | None = Field(
        None,
        description="The probability of positive less that of negative, from -1 to 1; omitted unless both are labels.",
        examples=[0.972166],
    )


class ClassifiedSentence(Labelled, Span):
    """A sentence, classified on its own."""


class Ignored(BaseModel):
    """A word that the model has not read."""

    text: str = Field(description="The word.", examples=["Acme"])
    source: Literal["dictionary"] = Field(
        description="Why it is ignored: the model's dictionary lists it.", examples=["dictionary"]
    )


class Classified(Labelled):
    """The classification of one input."""

    magnitude: float | None = Field(
        None,
        description="With `sentences`: the sum of the sentences' scores without their signs, from 0 to their number.",
    )
    ignored: list[Ignored] | None = Field(
        None, description="The words that the model ignores by its dictionary, in order; omitted if there are none."
    )
    mixed: bool | None = Field(
        None,
        description="With `sentences`: whether the score of one sentence is 0.5 or more, and of another -0.5 or less.",
    )
    contributions: Contributions | None = Field(None, description="On request: what each token adds to a label.")
    sentences: list[ClassifiedSentence] | None = Field(
        None, description="On request: the classification of each sentence, in order."
    )


class Logprob(BaseModel):
    """A token that could have been generated."""

    token: str = Field(description="The token (character).", examples=["W"])
    logprob: float = Field(
        description="Its log probability, in nats, by the model's own distribution: before temperature, top_k and"
        " top_p.",
        examples=[-0.693147],
    )


class GeneratedToken(Logprob):
    """A generated token, and what else was probable in its place."""

    top: list[Logprob] = Field(description="The most probable tokens in its place, the best first.")


FinishReason = TypeAliasType(
    "FinishReason",
    Annotated[
        Literal["stop", "length", "shutdown"],
        Field(description="Why a text ended: at a stop string, at max_tokens, or early because the service shut down."),
    ],
)


class Generated(BaseModel):
    """A continuation of a prompt."""

    text: str = Field(description="The continuation, without the prompt.", examples=["\nWhat, shall I speak?"])
    logprobs: list[GeneratedToken] | None = Field(
        None, description="On request: the generated tokens with their probabilities."
    )
    finish_reason: FinishReason = Field(description="Why it ended.", examples=["length"])
    tokens: int = Field(description="Tokens (characters) generated.", examples=[21])
    seed: int = Field(description="Gives this text again.", examples=[7])


class Answer(BaseModel):
    """The answer of any task."""

    model: str = Field(description="Name of the model that answered.", examples=["tagger-en"])
    version: str = Field(description="Its version.", examples=["1"])


class TagAnswer(Answer):
    """One result an input, in order."""

    results: list[Tagged] = Field(description="The result of each input, in order.")


class ClassifyAnswer(Answer):
    """One result an input, in order."""

    results: list[Classified] = Field(description="The result of each input, in order.")


class GenerateAnswer(Answer):
    """`n` results a prompt, in order."""

    results: list[Generated] = Field(description="The results of each prompt, in order.")


CONLLU_EXAMPLE = """# generator = tagwerk 0.2.0, tagger-en/18
# newdoc id = 1
# sent_id = 1-1
# text = Don't!
1-2\tDon't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No|TokenRange=0:5
1\tDo\tdo\tAUX\tVB\tMood=Imp|VerbForm=Fin\t_\t_\t_\t_
2\tn't\tnot\tPART\tRB\tPolarity=Neg\t_\t_\t_\t_
3\t!\t!\tPUNCT\t.\t_\t_\t_\t_\tTokenRange=5:6

"""
EVENTS_EXAMPLE = """data: {"index":0,"text":"W"}

data: {"index":0,"text":"h"}

event: finish
data: {"index":0,"finish_reason":"length","tokens":2,"seed":7}

"""
