"""The model card of a version: its figures, data, limits, and how to make it again."""

import json
from dataclasses import asdict

from service.artifact.manifest import Manifest
from service.errors import quantity
from training.tasks.base import ServedTask


def model_card(task: ServedTask, manifest: Manifest) -> str:
    """Returns the card of a version, in Markdown."""
    settings = json.dumps(asdict(task.recipe), indent=2, ensure_ascii=False)
    data = "\n".join(f"- {d.name}, {d.licence}: {_linked(d.address)}, sha256 `{d.sha256}`" for d in manifest.data)
    metrics = "\n".join(f"| {m.split} | {m.name} | {m.value:g} {m.unit} |" for m in manifest.metrics)
    labels = "\n".join(f"- {name}: {quantity(len(labels), 'label')}" for name, labels in manifest.labels.items())
    vocabularies = "\n".join(
        f"- {name}: {len(vocabulary):,} ids{', lower case' if vocabulary.lowercase else ''}"
        for name, vocabulary in task.vocabularies.items()
    )
    frameworks = ", ".join(f"{name} {version}" for name, version in manifest.frameworks.items())
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

`{manifest.command}` with seed {manifest.seed}; {frameworks}.

Vocabularies and labels, from the train split{also_read}:

{vocabularies}
{labels}

Settings of the recipe:

```json
{settings}
```
"""


def _linked(address: str) -> str:
    """Returns an address as Markdown has a link; other texts, such as "part of the project", as they are."""
    return f"<{address}>" if "://" in address else address
