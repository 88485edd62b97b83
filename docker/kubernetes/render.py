# /// script
# dependencies = ["helm-python-sdk==0.2.2"]
# ///
"""Writes the manifests of this folder, which are output of the chart: make manifests.

Helm's own library checks the chart and renders it. `render.py FOLDER` writes them elsewhere; `render.py FOLDER JSON`
writes manifests of other values, given by name.
"""

import json
import sys
from pathlib import Path
from typing import Any

import helm_python  # type: ignore[import-not-found]

HERE = Path(__file__).parent
CHART = HERE.parent / "chart"
NAME = "tagwerk"  # of the release and of its namespace
VARIANTS: dict[str, dict[str, Any]] = {
    "cpu": {"createNamespace": True},
    "gpu": {"createNamespace": True, "gpu": True},
    "keda": {"createNamespace": True, "autoscaling": {"by": "keda"}},
    "monitoring": {"monitoring": {"enabled": True}},
    "annotate": {"annotate": {"enabled": True}},
}
ALONE = ("monitoring", "annotate")  # templates that are for a release that is there


def main() -> None:
    """Writes a file per variant; exits with what is wrong with the chart, where something is."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    variants = json.loads(sys.argv[2]) if len(sys.argv) > 2 else VARIANTS
    with helm_python.Chart.load(CHART) as chart:
        for variant, values in variants.items():
            report = helm_python.lint(CHART, values, strict=True, namespace=NAME)
            if wrong := report["errors"] or [one for one in report["messages"] if one["severity"] > 1]:
                sys.exit(f"{variant}: {wrong}")
            chart.validate_schema(values)
            rendered = chart.render(values, name=NAME, namespace=NAME)
            templates = {Path(path).stem: text for path, text in rendered.items() if text.strip()}
            names = [variant] if variant in ALONE and variants is VARIANTS else sorted(templates, key=order)
            head = f"# Output of docker/chart, of the values {json.dumps(values)}: make manifests\n"
            documents = [text.strip() + "\n" for name in names if (text := templates.get(name))]
            (folder / f"{variant}.yaml").write_text(head + "---\n".join(documents))


def order(template: str) -> tuple[bool, str]:
    """Returns what to sort templates by: first that with the namespace."""
    return template != "service", template


if __name__ == "__main__":
    main()
