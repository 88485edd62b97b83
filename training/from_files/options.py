"""The options of a model that is made from files, and their effect on a recipe."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from service.errors import ConfigurationError
from training.tasks.base import AnyRecipe, Recipe

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*")  # BCP 47
# Not changed by `--set`.
GIVEN = {*"name language licence description corpus labels teacher teaching shipped threads".split()}


@dataclass(frozen=True, kw_only=True)
class Options:
    """The model to make, and the files to make it of.

    Attributes:
        name: of the model.
        language: BCP 47.
        files: train, and dev and test where they are given.
        licence: of the data and of the model.
        seed: of the run and of the splits.
        quick: whether a first model in about three minutes is wanted.
        lexicon: SPACY, or the name of a file; "" for none.
        teacher: a name of training.teachers.pretrained, or a folder; "" for none.
        related: other treebanks of the language, learned from as far as the own one could have their tags.
        unlabelled: plain text for the teacher, or the version that training goes on from, to label.
        base: the version that training goes on from, such as "tagger-en/14"; "" for none.
        text_column, label_column: of a classifier's tables.
        changes: settings of the recipe and their values as text; `sizes.units` is a setting of the network.
        command: the command line with these options.
    """

    name: str
    language: str
    files: Mapping[str, Path]
    licence: str = "not stated"
    seed: int = 1
    quick: bool = False
    lexicon: str = ""
    teacher: str = ""
    related: Sequence[Path] = ()
    unlabelled: Path | None = None
    base: str = ""
    text_column: str = ""
    label_column: str = ""
    changes: Sequence[tuple[str, str]] = ()
    command: str = ""

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            right = "letters, digits, '.', '_' and '-', such as tagger-de"
            raise ConfigurationError(f"--name {self.name!r}; right: {right}")
        if not LANGUAGE.fullmatch(self.language):
            raise ConfigurationError(f"--language {self.language!r}; right: a tag of BCP 47, such as de or pt-BR")
        of_new_models = {"--teacher": self.teacher, "--lexicon": self.lexicon, "--related": self.related}
        if self.base and any(of_new_models.values()):
            given = next(option for option, value in of_new_models.items() if value)
            right = "one of both: a version keeps what it has learned from its teacher, lexicon and treebanks"
            raise ConfigurationError(f"--from with {given}; right: {right}")
        if not self.base and bool(self.teacher) != bool(self.unlabelled):
            given, missing = ("--teacher", "--unlabelled FILE") if self.teacher else ("--unlabelled", "--teacher NAME")
            raise ConfigurationError(f"{given} alone: a teacher labels unlabelled text; right: {missing} as well")
        if self.teacher and self.quick:
            raise ConfigurationError("--quick: a teacher takes longer than three minutes; right: without --teacher")


def changed(recipe: AnyRecipe, changes: Sequence[tuple[str, str]]) -> AnyRecipe:
    """Returns a recipe with some settings replaced. Raises ConfigurationError where one is not there or not valid."""
    for name, text in changes:
        inside, _, last = name.rpartition(".")
        if inside not in ("", "sizes"):
            raise ConfigurationError(f"--set {name}: no such setting; right: {_names(recipe)}")
        owner = recipe.sizes if inside else recipe
        value = _value(owner, name, last, text, recipe)
        new = replace(owner, **{last: value})
        recipe = replace(recipe, sizes=new) if inside else new
    return recipe


def _value(owner: Any, name: str, setting: str, text: str, recipe: Recipe) -> Any:
    """Reads the value of a setting as what it is now: a number, true or false, or text."""
    settings = {field.name: getattr(owner, field.name) for field in fields(owner)}
    if setting not in settings or is_dataclass(settings[setting]) or setting in GIVEN:
        raise ConfigurationError(f"--set {name}: no such setting; right: {_names(recipe)}")
    before = settings[setting]
    if isinstance(before, str):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    kind = int if before is None else type(before)  # of what is not set, `limit`, a number
    if type(value) is not kind and not (kind is float and type(value) is int):
        right = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise ConfigurationError(f"--set {name}={text}; right: {right}, such as {json.dumps(before or 1)}")
    return kind(value)


def _names(recipe: Recipe) -> str:
    own = [name for name in asdict(recipe) if name not in GIVEN | {"sizes"}]
    return ", ".join([*own, *(f"sizes.{field.name}" for field in fields(recipe.sizes))])
