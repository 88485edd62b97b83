"""What determines the bytes of an output, and how it has changed since an output was made."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from service.artifact.version import ModelVersion
from service.commands.annotate.job import Job
from service.commands.annotate.records import differences, read_manifest
from service.commands.annotate.source import Source
from service.formats.tagging import GENERATOR


def facts(versions: Sequence[ModelVersion], job: Job, source: Source) -> dict[str, str] | None:
    """Returns everything that determines the bytes of an output; None for an input that cannot be reread.

    Excluded are the line length limit, which only decides whether there is an output, and device, threads and batch
    sizes, which affect at most the last digits of probabilities.

    Raises UnreadableInput.
    """
    if (digest := source.digest()) is None:
        return None
    return {**facts_of_run(versions, job), "input format": source.format or "", "input content": digest}


def facts_of_run(versions: Sequence[ModelVersion], job: Job) -> dict[str, str]:
    """Returns the facts that all outputs of a run have in common."""
    options = {
        "text column": job.text_column,
        "tokenized": "yes" if job.tokenized else None,
        "prefix": job.prefix or None,
        "n-best": str(job.n_best) if job.n_best > 1 else None,
        "strict": "yes" if job.strict else None,
        "encoding": job.encoding if job.encoding != "utf-8" else None,
        "delimiter": job.delimiter,
        "limit": None if job.limit is None else str(job.limit),
    }
    manifests = "".join(version.manifest.model_dump_json() for version in versions)
    return {
        "program": GENERATOR,
        "task": job.task,
        "format": job.form,
        "model": ", ".join(str(version.key) for version in versions),
        "model content": hashlib.sha256(manifests.encode()).hexdigest(),
        **{name: value for name, value in options.items() if value is not None},
    }


def has_finished_copy(place: Path, made_from: Mapping[str, str] | None) -> bool:
    """Returns whether a complete output of the same facts waits to be copied; removes one of other facts."""
    if not place.exists():
        return False
    made = read_manifest(place)
    if made is not None and made.facts == made_from:
        return True
    place.unlink()
    return False


def difference(target: Path, versions: Sequence[ModelVersion], job: Job) -> str:
    """Describes how a complete output was made otherwise than this run would make it; "" if it was not.

    The input's content is not read for that.
    """
    made = read_manifest(target)
    if made is None:
        return ""
    now = facts_of_run(versions, job)
    before = {name: value for name, value in made.facts.items() if not name.startswith("input ")}
    changed = differences(before, now)
    return f", made with {'; '.join(changed)}: remove it to have it made anew" if changed else ""
