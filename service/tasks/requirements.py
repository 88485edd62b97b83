"""Checks that a model version meets the requirements of its task's code, and builds the task."""

from collections.abc import Mapping

from service.artifact.manifest import PROBABILITIES, Manifest, ModelVersion, TensorSpec
from service.errors import ArtifactError, quantity
from service.tasks.generation import TextGeneration
from service.tasks.sentiment import CONTRIBUTIONS, EXPLANATION, Sentiment
from service.tasks.tagging import Tagging
from service.text.lemmatizer import LEMMA, NEXT_RULES
from service.text.tokens import TOKENIZER_NAME
from service.text.vocabulary import Vocabulary

HEADS = ("upos", "xpos", "feats")
MAX_CHARACTERS = 1000  # per token, as input of a tagger

AnyTask = Tagging | Sentiment | TextGeneration
AxisNames = tuple[str, ...]  # names of axes; K, C, H and V stand for any fixed size
BATCH: AxisNames = ("B",)
SEQUENCE: AxisNames = ("B", "T")


def make_task(version: ModelVersion) -> AnyTask:
    """Builds a version's task."""
    task = version.manifest.task
    if task == "generate":
        return TextGeneration(version)
    longest = version.manifest.length_buckets[-1]
    return Tagging(version, longest) if task == "tag" else Sentiment(version, longest)


def check_version(manifest: Manifest, vocabularies: Mapping[str, Vocabulary]) -> None:
    """Checks that a version has the tensors, labels and vocabularies of its task. Raises ArtifactError."""
    checks = {"tag": _check_tagger, "classify": _check_classifier, "generate": _check_generator}
    checks[manifest.task](manifest, vocabularies)
    if manifest.tokenizer is not None and not TOKENIZER_NAME.fullmatch(manifest.tokenizer):
        raise ArtifactError(f"the tokenizer {manifest.tokenizer[:60]!r} is not one of spacy-en, spacy-fr and so on")
    if manifest.task != "generate":
        _need_endpoints(manifest)


def _check_tagger(manifest: Manifest, vocabularies: Mapping[str, Vocabulary]) -> None:
    if missing := [head for head in HEADS if head not in manifest.endpoint.outputs]:
        raise ArtifactError(f"a tagger gives upos, xpos and feats; this one has no {' and no '.join(missing)}")
    _need_vocabularies(manifest, vocabularies, "words", "characters")
    _need_inputs(manifest, {"word_ids": SEQUENCE, "char_ids": (*SEQUENCE, "C")})
    for head in (*HEADS, *manifest.labels.keys() & {LEMMA}):
        _need_output(manifest, head, (*SEQUENCE, "K"))
        _check_labels(manifest, head, head)
    width = manifest.endpoint.inputs["char_ids"].axes[2]
    if not isinstance(width, int) or not 0 < width <= MAX_CHARACTERS:
        raise ArtifactError(f"the last axis of char_ids is {width!r}; allowed: a number from 1 to {MAX_CHARACTERS}")
    for label in manifest.labels["feats"]:
        if label != "_" and not all(pair.find("=") > 0 for pair in label.split("|")):
            raise ArtifactError(f"the label {label[:60]!r} of feats is not written as Name=Value|Name=Value, or _")


def _check_classifier(manifest: Manifest, vocabularies: Mapping[str, Vocabulary]) -> None:
    _need_vocabularies(manifest, vocabularies, "words")
    _need_inputs(manifest, {"word_ids": SEQUENCE})
    if len(manifest.labels) != 1:
        raise ArtifactError(f"a classifier has one set of labels; the manifest has {len(manifest.labels)}")
    (name,) = manifest.labels
    for output in (PROBABILITIES, *sorted(manifest.endpoint.outputs.keys() & EXPLANATION)):
        _need_output(manifest, output, (*(SEQUENCE if output == CONTRIBUTIONS else BATCH), "K"))
        _check_labels(manifest, name, output)


def _check_generator(manifest: Manifest, vocabularies: Mapping[str, Vocabulary]) -> None:
    _need_vocabularies(manifest, vocabularies, "characters")
    _need_inputs(manifest, {"ids": SEQUENCE, "state": (*BATCH, "H")})
    for name, axes in {"logits": (*BATCH, "V"), "state": (*BATCH, "H")}.items():
        _need_output(manifest, name, axes)
    size, known = manifest.endpoint.outputs["logits"].axes[1], len(vocabularies["characters"])
    if size != known:
        raise ArtifactError(f"logits has an axis of {size}, but the vocabulary characters has {known} ids")
    if manifest.endpoint.inputs["state"].axes[1] != manifest.endpoint.outputs["state"].axes[1]:
        raise ArtifactError("the endpoint takes a state of another size than it gives")


def _need_endpoints(manifest: Manifest) -> None:
    """Checks that there are the endpoints that the service runs: the projection of words, and the step."""
    step = f"{manifest.endpoint_name}_from_table"
    if missing := [name for name in ("project", step) if name not in manifest.endpoints]:
        command = f"tagwerk-train export-again {manifest.name}"
        raise ArtifactError(f"there is no endpoint {' and no '.join(missing)}; exported again, it has them: {command}")
    for name in NEXT_RULES if LEMMA in manifest.labels else ():
        if name not in manifest.endpoints[step].outputs:
            raise ArtifactError(f"there is no output {name!r} of {step}, which lemma rules need")


def _need_vocabularies(manifest: Manifest, vocabularies: Mapping[str, Vocabulary], *names: str) -> None:
    for name in names:
        if name not in vocabularies:
            raise ArtifactError(f"there is no vocabulary {name!r}, which the task {manifest.task} needs")


def _need_inputs(manifest: Manifest, needed: Mapping[str, AxisNames]) -> None:
    """Checks that the endpoint has exactly the inputs that the task provides."""
    found = manifest.endpoint.inputs
    wanted = {"lengths": BATCH, **needed}
    if found.keys() != wanted.keys():
        raise ArtifactError(f"the endpoint takes {', '.join(sorted(found))}; allowed: {', '.join(sorted(wanted))}")
    for name, axes in wanted.items():
        dtype = "float32" if name == "state" else "int32"
        if found[name].dtype != dtype:
            raise ArtifactError(f"the input {name} is {found[name].dtype}; allowed: {dtype}")
        _check_axes(f"the input {name}", found[name], axes)


def _need_output(manifest: Manifest, name: str, axes: AxisNames) -> None:
    if name not in manifest.endpoint.outputs:
        raise ArtifactError(f"there is no output {name!r}, which the task {manifest.task} needs")
    _check_axes(f"the output {name}", manifest.endpoint.outputs[name], axes)


def _check_axes(what: str, found: TensorSpec, axes: AxisNames) -> None:
    fits = len(found.axes) == len(axes) and all(
        axis == wanted if wanted in SEQUENCE else isinstance(axis, int)
        for axis, wanted in zip(found.axes, axes, strict=True)
    )
    if not fits:
        shown = ", ".join(map(str, found.axes))
        raise ArtifactError(
            f"{what} has the axes [{shown}]; allowed: [{', '.join(axes)}], where B and T may be any size"
        )


def _check_labels(manifest: Manifest, name: str, output: str) -> None:
    """Checks that an output has one value per label."""
    labels, size = manifest.labels.get(name, ()), manifest.endpoint.outputs[output].axes[-1]
    if not labels:
        raise ArtifactError(f"there are no labels of {name}, which the task {manifest.task} needs")
    assert isinstance(size, int)  # noqa: S101 (checked by _need_output)
    if len(labels) > size or (len(labels) < size and output not in manifest.heads):  # heads may be padded
        raise ArtifactError(f"{quantity(len(labels), 'label')} of {name}, but the model gives {size}")
