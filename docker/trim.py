"""Removes files that the service never reads from an environment: python trim.py ENVIRONMENT. Prints their size."""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

# Globs below site-packages, and what they are.
UNREAD = {
    "clang": "libclang, which TensorFlow names as a dependency and never loads",
    "tensorflow/include": "headers, for building operations in C++",
    "nvidia/*/include": "headers of CUDA",
    "**/tests": "the packages' own tests",
    "**/*.py[ix]": "types for editors, sources of what is compiled",
    "**/*.cpp": "the same",
}
# Repaired wheels keep libraries in *.libs, which strip breaks; NVIDIA's are stripped.
LEFT_ALONE = ("*.libs", "nvidia")


def size(paths: Iterable[Path]) -> int:
    """Returns the bytes of files, and of all files in folders."""
    files = (file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]))
    return sum(file.lstat().st_size for file in files)


def remove(packages: Path) -> None:
    """Removes everything in UNREAD."""
    for pattern, what in UNREAD.items():
        found = sorted(packages.glob(pattern))
        print(f"{size(found) / 1e6:7.1f} MB  {pattern}: {what}")
        for path in found:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def strip(packages: Path) -> None:
    """Takes the symbols that only debuggers and linkers read out of the libraries."""
    alone = [folder for pattern in LEFT_ALONE for folder in packages.glob(pattern)]
    libraries = [path for path in packages.rglob("*.so*") if path.is_file() and not set(alone) & set(path.parents)]
    before = size(libraries)
    subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)
    print(f"{(before - size(libraries)) / 1e6:7.1f} MB  symbols in {len(libraries)} libraries")


if __name__ == "__main__":
    (found,) = Path(sys.argv[1]).glob("lib/python3.*/site-packages")
    remove(found)
    strip(found)
