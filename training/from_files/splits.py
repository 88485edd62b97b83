"""Divides examples of files into train, dev and test, which have no example in common."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

from rich.console import Console

from service.errors import quantity
from training.data.files import DataFileError
from training.data.splits import HoldOut, complete, without_overlap
from training.from_files.options import Options

T = TypeVar("T")
LEAST_TRAINED = 10  # examples of train that neither dev nor test has
OTHERS = {"dev": "test has", "train": "dev or test have"}


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
        unit: what an example is called.
    """
    splits = complete(read, hold_out, options.seed)
    found, left_out = without_overlap(splits, content)
    for name, least in (("dev", 1), ("train", LEAST_TRAINED)):
        if len(found[name]) < least:
            path, others = options.files.get(name, options.files["train"]), OTHERS[name]
            fault = f"{unit}s of {name} that {others} as well: {left_out[name]:,} of {len(splits[name]):,}"
            raise DataFileError(path, None, fault, f"{quantity(least, 'other')} at least")
    sizes = ", ".join(f"{len(found[name]):,} {name}" for name in ("train", "dev", "test"))
    console.print(f"{unit}s: {sizes}", highlight=False)
    for name, count in left_out.items():
        if count:
            examples = quantity(count, unit, ",")
            console.print(f"left out of {name}: {examples} that {OTHERS[name]} as well", highlight=False)
    return found
