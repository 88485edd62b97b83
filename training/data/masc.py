"""The Manually Annotated Sub-Corpus of the Open American National Corpus: mails, weblogs, letters, news, talk and more.

Ide et al. (2010), The Manually Annotated Sub-Corpus: A Community Resource For and By the People. NLTK publishes it as a
zip of text files, a sentence a line, whose words have the form `word_TAG`. Only the words are used.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

CATEGORIES = "categories.txt"  # the genre of each file


def plain_text(archive: Path) -> bytes:
    """Returns the sentences of all files, a line each, with spaces between their words."""
    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".txt") and not name.endswith(CATEGORIES))
        lines = [" ".join(_words(line)) for name in names for line in files.read(name).decode().split("\n")]
    return "".join(f"{line}\n" for line in lines if line).encode()


def _words(line: str) -> Iterator[str]:
    for word in line.split():
        form, _, _ = word.rpartition("_")
        if form:
            yield form
