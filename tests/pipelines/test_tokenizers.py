"""Each model reads texts with the tokenizer that its manifest names."""

from dataclasses import replace

import pytest

from service.artifact.manifest import ModelVersion
from service.errors import ArtifactError
from service.tasks.requirements import check_version
from tests.http.scene import tagger


def named(name: str | None) -> ModelVersion:
    """Returns a tagger whose manifest names a tokenizer."""
    version = tagger()
    return replace(version, manifest=version.manifest.model_copy(update={"tokenizer": name}))


@pytest.mark.parametrize("name", ["spacy", "spacy-..", "moses-fr"])
def test_a_version_with_another_tokenizer_is_not_loaded(name: str) -> None:
    version = named(name)
    with pytest.raises(ArtifactError, match="is not one of spacy-en, spacy-fr and so on"):
        check_version(version.manifest, version.vocabularies)
