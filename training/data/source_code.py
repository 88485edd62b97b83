"""Source code as a corpus: the standard library of the running Python."""

import hashlib
import platform
import sysconfig
from functools import cache
from pathlib import Path

from service.artifact.manifest import DataSource

LEFT_OUT = {"site-packages", "test", "tests", "idlelib", "lib2to3", "pydoc_data", "encodings", "ensurepip"}


@cache
def read() -> str:
    """Returns its modules that are ASCII, joined: 10 million characters."""
    root = Path(sysconfig.get_path("stdlib"))
    modules = (path for path in sorted(root.rglob("*.py")) if not LEFT_OUT & set(path.relative_to(root).parts))
    texts = (module.read_bytes() for module in modules)
    return "\n".join(text.decode() for text in texts if text.isascii())


def sources() -> tuple[DataSource, ...]:
    """Returns its origin for a manifest."""
    version = platform.python_version()
    return (
        DataSource(
            name=f"The library of Python {version}",
            address=f"https://github.com/python/cpython/tree/v{version}/Lib",
            sha256=hashlib.sha256(read().encode()).hexdigest(),
            licence="PSF-2.0",
        ),
    )
