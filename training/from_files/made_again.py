"""Makes the task of a tagger that was made of files again: of these, or of the version alone."""

import argparse
import shlex
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from service.artifact import manifest as artifact
from service.errors import ConfigurationError
from service.text.lemmatizer import LEMMA
from training.from_files.base_version import BaseVersion
from training.from_files.command import add_commands, options_of
from training.from_files.further_tagger import ContinuedTagging
from training.from_files.tagger import read_files
from training.models.lemmatizer import LearnedLemmatizer
from training.models.tagger import TaggerSizes
from training.tasks.recipe import TeacherSettings
from training.tasks.tagging import Tagging, TaggingRecipe


def task_of_files(store: Path, name: str, console: Console) -> Tagging:
    """Returns the task of a tagger as its newest version has it, of the files that the version's command names.

    Raises ArtifactError, DataFileError, or ConfigurationError where these are not the files that it was made of.
    """
    base = BaseVersion(store, name, "tag")
    manifest = base.manifest
    options = options_of(_arguments(base.name, manifest.command), manifest.command)
    if options.base:
        fault = f"{base.name} was made of corrections and {options.base}"
        raise ConfigurationError(f"{fault}; right: a version that was made of a treebank or by a recipe")
    files = read_files(replace(options, teacher="", unlabelled=None), console)
    made_of = {source.sha256 for source in manifest.data}
    for source in files.sources:
        if source.sha256 not in made_of:
            fault = f"{source.name} is not what {base.name} was made of: its SHA-256 is {source.sha256}"
            raise ConfigurationError(f"{fault}; right: a file of its model card")
    made, recipe = base.settings, base.recipe(TaggingRecipe, TaggerSizes)
    teaching = TeacherSettings(**made["teaching"]) if made.get("teaching") else None
    recipe = replace(recipe, teacher=made.get("teacher"), teaching=teaching, limit=made.get("limit"))
    task = Tagging(recipe, files.splits, manifest.data, base.vocabularies, files.lexicon, labels=manifest.labels)
    task.segmenter = base.segmenter
    task.length_buckets = manifest.length_buckets
    if LEMMA in manifest.labels:
        task.lemmatizer = LearnedLemmatizer.read(base.folder / artifact.LEMMAS, manifest.labels[LEMMA])
    return task


def task_of_version(store: Path, name: str) -> Tagging:
    """Returns the task of a tagger's newest version without the files that it was made of: it has no examples.

    Raises ArtifactError.
    """
    base = BaseVersion(store, name, "tag")
    recipe = base.recipe(TaggingRecipe, TaggerSizes)
    return ContinuedTagging(recipe, {"train": [], "dev": [], "test": []}, base.manifest.data, base)


def _arguments(version: str, command: str) -> argparse.Namespace:
    """Reads the command that a version was made with."""
    parser = argparse.ArgumentParser(prog=f"the command of {version}")
    add_commands(parser.add_subparsers(dest="recipe"))
    words = shlex.split(command)
    try:
        if words[:3] == ["tagwerk-train", "train", "tagger"]:
            return parser.parse_args(words[2:])
    except SystemExit:  # it has printed why
        pass
    raise ConfigurationError(f"{version} was not made by 'tagwerk-train train tagger'; right: a tagger that was")
