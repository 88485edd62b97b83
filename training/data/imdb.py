"""The Large Movie Review Dataset as a table: its archive has a file for each review, `aclImdb/train/neg/0_3.txt`.

The name has the number of the review and its stars, 1 to 10.
"""

import re
import tarfile
from pathlib import Path

_REVIEW = re.compile(r"aclImdb/(train|test)/(neg|pos)/(\d+)_(\d+)\.txt")
_BLANKS = re.compile(r"[ \t\r\n]+")


def table(archive: Path, part: str) -> bytes:
    """Returns the reviews of a part as lines of id, label, stars and text, divided by tabs; the bad ones first."""
    rows = {}
    with tarfile.open(archive, "r|gz") as members:
        for member in members:
            name = _REVIEW.fullmatch(member.name)
            if name and name[1] == part and (file := members.extractfile(member)):
                _, label, number, stars = name.groups()
                text = _BLANKS.sub(" ", file.read().decode()).strip(" ")
                rows[label, int(number)] = f"{label}/{number}_{stars}\t{int(label == 'pos')}\t{stars}\t{text}"
    return "\n".join(["id\tlabel\tstars\ttext", *(rows[key] for key in sorted(rows)), ""]).encode()
