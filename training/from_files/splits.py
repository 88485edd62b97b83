"""Divides examples of files into train, dev and test, which have no example in common."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from rich.console import Console

from training.data.files import DataFileError
from training.data.splits import HoldOut, complete, without_overlap
from training.from_files.options import Options
from training.from_files.report import show_splits

T = TypeVar("T")
LEAST_TRAINED = 10  # examples of train that neither dev nor test has


def divided(
    options: Options,
    read: Mapping[str, Sequence[T]],
    hold_out: HoldOut[T],
    content: Callable[[T], Hashable],
    unit: str,
    console: Console,
) -> dict[str, list[T]]:
    """Returns train, dev and test, and prints their sizes. Raises DataFileError where too little is left of one.

    Args:
        read: the examples of the files, by the splits that they are for.
        hold_out: chooses the examples of a split that has no file.
        content: what is the same in examples that are alike.
        unit: what examples are called.
    """
    splits = complete(read, hold_out, options.seed)
    found, left_out = without_overlap(splits, content)
    for name, least, others in (("dev", 1, "test has"), ("train", LEAST_TRAINED, "dev or test have")):
        if len(found[name]) < least:
            path = options.files.get(name, options.files["train"])
            fault = f"{left_out[name]:,} of the {len(splits[name]):,} {unit} of {name} are those that {others} as well"
            raise DataFileError(path, None, fault, f"{least} others at least")
    show_splits(console, unit, found, left_out)
    return found
