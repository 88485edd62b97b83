"""Builds the wheel, in which `service` and `training` are `tagwerk.service` and `tagwerk.training`.

An environment that has packages of these common names keeps them. `docs/architecture.md` says which name is used where.
"""

import ast
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

FOLDERS = ("service", "training")
HOME = "tagwerk"
IN_CHECKOUT = find_packages(include=[pattern for name in FOLDERS for pattern in (name, f"{name}.*")])


class BuildRenamed(build_py):
    """Copies the modules, with the names that they import each other by in a wheel."""

    def build_module(self, module: str, module_file: str, package: str) -> tuple[str, bool]:
        copy, copied = super().build_module(module, module_file, package)
        path = Path(copy)
        path.write_text(renamed(path.read_text(encoding="utf-8")), encoding="utf-8")
        return copy, copied


class InstallEditable(editable_wheel):
    """Also gives modules the names that they have in the checkout, by which they import each other there."""

    def run(self) -> None:
        self.distribution.packages += IN_CHECKOUT
        super().run()


def renamed(source: str) -> str:
    """Returns a module's source with `from service.text import x` as `from tagwerk.service.text import x`.

    Raises SyntaxError for `import service.text`, which would bind another name.
    """
    lines = source.splitlines(keepends=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FOLDERS and not node.level:
            line = lines[node.lineno - 1]
            lines[node.lineno - 1] = line.replace(f"from {node.module}", f"from {HOME}.{node.module}", 1)
        if isinstance(node, ast.Import) and any(alias.name.partition(".")[0] in FOLDERS for alias in node.names):
            raise SyntaxError(f"{lines[node.lineno - 1].strip()!r}; right: from ... import ...")
    return "".join(lines)


setup(
    packages=[f"{HOME}.{package}" for package in IN_CHECKOUT],
    package_dir={f"{HOME}.{name}": name for name in FOLDERS},
    cmdclass={"build_py": BuildRenamed, "editable_wheel": InstallEditable},
)
