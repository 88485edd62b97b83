"""What `tagwerk annotate --ray` gives on one node and on two, of a core each, beside one machine without Ray.

    python -m loadtests.ray_annotation        needs the extra `ray`

The corpus is files of the load's sentences. The rate leaves the start of the actors out: it is that of the files after
the first of each actor.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from ray.cluster_utils import Cluster

from loadtests.rounds import figure, say
from loadtests.text import described, endless_text

FILES, LINES = 16, 2000


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.ray_annotation", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    found: dict[str, list[tuple[float, float]]] = {"without Ray": [], "1 node": [], "2 nodes": []}
    with tempfile.TemporaryDirectory() as folder:
        corpus = write_corpus(Path(folder) / "corpus")
        for number in range(rounds):
            for name, nodes in (("without Ray", 0), ("1 node", 1), ("2 nodes", 2)):
                found[name].append(measure(corpus, Path(folder) / f"{name}-{number}", nodes))
                rate, first = found[name][-1]
                say(f"{name}: {figure(rate)} sentences/s, {figure(first)} s to the first file")
    alone = median(rate for rate, _ in found["without Ray"])
    print(f"{FILES} files of {LINES} sentences; {described()}.\n")
    print("| | sentences/s | of the ideal | first file after s |\n| --- | ---: | ---: | ---: |")
    for name, runs in found.items():
        rate, first = median(rate for rate, _ in runs), median(first for _, first in runs)
        ideal = alone * (2 if name == "2 nodes" else 1)
        print(f"| {name} | {figure(rate)} | {100 * rate / ideal:.0f} % | {figure(first)} |")
    return 0


def write_corpus(folder: Path) -> Path:
    """Writes the files; returns their folder."""
    folder.mkdir()
    sentences = endless_text(random.Random(1))
    for number in range(FILES):
        (folder / f"{number}.txt").write_text("\n".join(next(sentences) for _ in range(LINES)), encoding="utf-8")
    return folder


def measure(corpus: Path, output: Path, nodes: int) -> tuple[float, float]:
    """Returns the sentences a second after the first files, and the seconds to the first file.

    Each node has a core to itself, as what runs without Ray has.
    """
    command = [sys.executable, "-m", "service", "annotate", str(corpus), "--task", "tag", "--output", f"{output}/"]
    every_core, cluster = os.sched_getaffinity(0), None
    if not nodes:
        command = ["taskset", "--cpu-list", str(min(every_core)), *command]
    if nodes:
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        for core in sorted(every_core)[:nodes]:
            os.sched_setaffinity(0, {core})  # which the processes of the node inherit
            cluster.add_node(num_cpus=1)
        os.sched_setaffinity(0, every_core)
        command += ["--ray", cluster.address, "--actors", f"{nodes}-{nodes}"]
    began = time.time()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    if cluster is not None:
        cluster.shutdown()
    done = sorted(path.stat().st_mtime for path in output.glob("*.jsonl"))
    skipped = max(1, nodes)
    return (len(done) - skipped) * LINES / (done[-1] - done[skipped - 1]), done[0] - began


if __name__ == "__main__":
    sys.exit(main())
