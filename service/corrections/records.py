"""Corrections of a model's answers, as they are kept: an object in a line of JSON each."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from pydantic import Field

from service.files import FileModel
from service.text.tokenizer import Token

COLUMNS = ("upos", "xpos", "feats", "lemma")


class CorrectedToken(FileModel):
    """A token with the tags that are right: the model's own, but for those in `was`."""

    text: str
    start: int = Field(description="Offset in the text, in code points.")
    end: int
    continues: bool = Field(False, description="Whether it is one word of the text with the token before it.")
    upos: str
    xpos: str
    feats: Mapping[str, str] = {}
    lemma: str | None = None
    was: Mapping[str, str | Mapping[str, str] | None] = Field({}, description="What the model gave, where it differs.")

    def token(self) -> Token:
        """Returns its text and offsets."""
        return Token(self.text, self.start, self.end, self.continues)


class Correction(FileModel):
    """A text with what is right of it: the tags of its tokens, or a label."""

    time: datetime
    model: str
    version: str = Field(description="The version that answered.")
    text: str
    sentences: tuple[tuple[CorrectedToken, ...], ...] | None = Field(None, description="Of a tagger.")
    spaced: bool = Field(True, description="Whether the text was sent, rather than its tokens, joined here by spaces.")
    label: str | None = Field(None, description="Of a classifier.")
    was: str | None = Field(None, description="The label that the model gave, where it differs.")
    request_id: str | None = Field(None, description="Of the request that was answered wrongly, a note.")
    key: str | None = Field(None, description="The id of the API key that sent it.")

    def changes(self) -> Iterator[tuple[str, str, str, str]]:
        """Yields what the model gave wrongly: the token's text, or "", the column or "label", what was, what is right.

        Features are as CoNLL-U has them.
        """
        if self.label is not None and self.was is not None:
            yield "", "label", self.was, self.label
        for token in (token for sentence in self.sentences or () for token in sentence):
            for column, was in token.was.items():
                yield token.text, column, as_text(was), as_text(getattr(token, column))


def as_text(value: str | Mapping[str, str] | None) -> str:
    """Returns a tag, features or a lemma as a column of CoNLL-U."""
    return (value if isinstance(value, str) else "|".join(map("=".join, (value or {}).items()))) or "_"
