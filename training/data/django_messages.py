"""Reads the messages of Django, a web framework, in the languages that they have been translated to."""

import re
import zipfile
from pathlib import Path

MERGED = {  # of its locales: into the language that they are forms of, or nearest to
    **{"ar_DZ": "ar", "es_AR": "es", "es_CO": "es", "es_MX": "es", "es_VE": "es", "pt_BR": "pt", "nn": "nb"},
    **{"bs": "hr", "sr_Latn": "hr", "ms": "id", "zh_Hans": "zh", "zh_Hant": "zh", "mr": "hi", "ne": "hi", "ur": "fa"},
}
SHORTEST = 12  # characters of a message that is used
_FILE = re.compile(r".*/locale/(\w+)/LC_MESSAGES/django\.po")
_MESSAGE = re.compile(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', re.MULTILINE)
_STRING = re.compile(r'"(.*)"')
_CODE = re.compile(r"%\(\w+\)[a-z]|%[sd%]|\{\w*\}|<[^>]*>|\\.|&\w+;")  # placeholders, HTML, escapes


def table(wheel: Path) -> bytes:
    """Returns the table of Django's wheel: a line with language and message each, by language, without repeats."""
    messages: set[tuple[str, str]] = set()
    with zipfile.ZipFile(wheel) as archive:
        for name in filter(_FILE.fullmatch, archive.namelist()):
            locale = _FILE.sub(r"\1", name)
            for block in archive.read(name).decode().split("\n\n"):
                if "fuzzy" in block or "Content-Type" in block:
                    continue
                for found in _MESSAGE.finditer(block):
                    text = "".join(_STRING.findall(found[1])).replace(r"\n", " ").replace(r"\"", '"')
                    if len(text := " ".join(_CODE.sub(" ", text).split())) >= SHORTEST:
                        messages.add((MERGED.get(locale, locale), text))
    lines = ["language\ttext", *("\t".join(message) for message in sorted(messages))]
    return "\n".join([*lines, ""]).encode()
