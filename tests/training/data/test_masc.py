"""Text of MASC's archive."""

import zipfile
from pathlib import Path

from training.data.masc import plain_text


def test_words_of_all_files_are_read_without_their_tags(tmp_path: Path) -> None:
    archive = tmp_path / "masc.zip"
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("masc_tagged/categories.txt", "written/b.txt email\n")
        files.writestr("masc_tagged/written/b.txt", "O_K_UH ,_, that_DT ’s_VBZ it_PRP ._. \n \nYes_UH \n")
        files.writestr("masc_tagged/spoken/a.txt", "Welcome_VB\u0085back_RB _NN !_. \n")
    assert plain_text(archive).decode() == "Welcome back !\nO_K , that ’s it .\nYes\n"
