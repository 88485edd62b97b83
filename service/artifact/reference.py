"""What a model makes of its dev split, `reference.json` of a version folder, to compare other texts with."""

from pathlib import Path

from service.files import FileModel

REFERENCE = "reference.json"
CONFIDENCE_BINS = 20


class Reference(FileModel):
    """What a model makes of its dev split. If other texts differ much from it, the model may be less good for them.

    Attributes:
        items: how many words, texts or characters the split has.
        unknown: by vocabulary, the share of what it does not have.
        labels: by kind of label, how often each is the most probable one.
        confidence: by kind of label, how many words, texts or characters have a highest probability in each of
            CONFIDENCE_BINS equal bins between 0 and 1.
    """

    items: int
    unknown: dict[str, float]
    labels: dict[str, dict[str, int]]
    confidence: dict[str, tuple[int, ...]]


def write_reference(folder: Path, reference: Reference) -> None:
    """Writes what the model makes of its dev split."""
    (folder / REFERENCE).write_text(reference.model_dump_json(indent=1) + "\n", encoding="utf-8")
