"""The model card of a version: its figures, data, limits, and how to make it again."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from service.artifact.manifest import Manifest
from service.errors import quantity
from training.tasks.base import ServedTask


def model_card(task: ServedTask, manifest: Manifest, commands: Sequence[str]) -> str:
    """Returns the card of a version, in Markdown.

    Args:
        commands: that make it from the start, one after the other.
    """
    settings = json.dumps(asdict(task.recipe), indent=2, ensure_ascii=False)
    data = "\n".join(f"- {d.name}, {d.licence}: {_linked(d.address)}, sha256 `{d.sha256}`" for d in manifest.data)
    metrics = "\n".join(f"| {m.split} | {m.name} | {m.value:g} {m.unit} |" for m in manifest.metrics)
    labels = "\n".join(f"- {name}: {quantity(len(labels), 'label')}" for name, labels in manifest.labels.items())
    vocabularies = "\n".join(
        f"- {name}: {len(vocabulary):,} ids{', lower case' if vocabulary.lowercase else ''}"
        for name, vocabulary in task.vocabularies.items()
    )
    also_read = " and what the teacher has read" if task.recipe.teacher else " alone"
    return f"""# {manifest.name}, version {manifest.version}

{manifest.description}. Language: {manifest.language}. Licence: {manifest.licence}. Products of states: \
{manifest.precision}.

## Figures

| split | metric | value |
| --- | --- | --- |
{metrics}

The epoch was chosen by {task.chosen_by} on dev; the run used the test split once, at its end.

## Data

{data}

## Limits

{task.recipe.limits}

## How to make it again

{how_to_make_again(manifest, commands)}

Vocabularies and labels, from the train split{also_read}:

{vocabularies}
{labels}

Settings of the recipe:

```json
{settings}
```
"""


def how_to_make_again(manifest: Manifest, commands: Sequence[str]) -> str:
    """Returns the commands that make a version from the start, its seed, and what it was made with."""
    lines = "\n".join(re.sub(r"(--from [^/\s]+)/\d+", r"\1", command) for command in commands)
    goes_on = (
        "Each command goes on from the version that the one before it makes, with the recipes of its time; of these "
        "versions, the store may have the last alone. "
    )
    frameworks = ", ".join(f"{name} {version}" for name, version in manifest.frameworks.items())
    return f"""```sh
{lines}
```

{goes_on if len(commands) > 1 else ""}Seed: {manifest.seed}; {frameworks}."""


def _linked(address: str) -> str:
    """Returns an address as Markdown has a link; other texts, such as "part of the project", as they are."""
    return f"<{address}>" if "://" in address else address
