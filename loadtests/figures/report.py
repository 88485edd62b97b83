"""Reports: a page of Markdown with a plot, in a folder that git ignores."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Drawing

from loadtests.aims import Figure

FOLDER = Path("build/loadtests")
PANEL_INCHES = (7.0, 2.6)
COLOURS = ("#1f6fb4", "#c8511b", "#4a8f3c", "#7a5ba6")  # distinguishable with colour blindness, too


def panels(names: Sequence[str], below: str) -> tuple[Drawing, Sequence[Axes]]:
    """Returns a drawing of panels under each other, which share what is `below`."""
    mpl.rcParams |= {"axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.3}
    mpl.rcParams["axes.prop_cycle"] = cycler(color=COLOURS)
    width, height = PANEL_INCHES
    drawing = Drawing(figsize=(width, height * len(names)), layout="constrained")
    axes = list(drawing.subplots(len(names), sharex=True, squeeze=False)[:, 0])
    for panel, name in zip(axes, names, strict=True):
        panel.set_title(name, loc="left", fontsize=10)
    axes[-1].set_xlabel(below)
    return drawing, axes


def write(name: str, title: str, how: str, figures: Sequence[Figure], table: str, drawing: Drawing) -> Path:
    """Writes a report; returns where it is."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for panel in drawing.axes:
        if panel.get_yscale() == "linear":
            panel.set_ylim(0, 1.05 * panel.dataLim.y1)
    drawing.savefig(FOLDER / f"{name}.png", dpi=120)
    verdicts = "\n".join(f"- {str(figure).strip()}" for figure in figures)
    page = f"# {title}\n\n{how}\n\n{verdicts}\n\n![{title}]({name}.png)\n\n{table}\n"
    path = FOLDER / f"{name}.md"
    path.write_text(page, encoding="utf-8")
    return path


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a table of Markdown, its numbers to the right."""
    lines = [heads, ["---:"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
