#!/usr/bin/env python3
"""usage: report.py RESULTS.json

Prints the results of perf.py as Markdown: for each workload every proxy's cost (the median of
its rounds), Tidegate's first, and Tidegate's as a ratio to the best peer's. Below 1.00 is better
than all of them.
"""

import json
import math
import os
import pathlib
import platform
import re
import statistics
import sys

from workloads import UNITS, WORKLOADS

OURS = "ours"
LIMITED = "limited"


def cost(title, rounds):
    """Bytes a tunnel for the idle workloads, CPU microseconds per operation for the rest."""
    values = [figure if UNITS[title] == "bytes/tunnel" else cpu for figure, cpu, _ in rounds]
    values = [value for value in values if not math.isnan(value)]
    return statistics.median(values) if values else math.nan


def went_wrong(seen):
    """What a workload saw besides its figure, if it means that the figure cannot be trusted."""
    lost = seen.get("alive") and len(set(re.findall(r"\d+", seen["alive"]))) != 1
    return lost or seen.get("error") or seen.get("errors") or seen.get("failed", 0) != 0


def show(value):
    return "-" if math.isnan(value) else f"{value:,.0f}" if value >= 1000 else f"{value:.1f}"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    results = json.loads(pathlib.Path(sys.argv[1]).read_text())
    # Without a proxy there is no cost of one.
    names = dict.fromkeys(n for found in results.values() for n in found if n != "direct")
    names = sorted(names, key=lambda name: name != OURS)
    rounds = max(len(found) for by_name in results.values() for found in by_name.values())
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, rounds: {rounds}\n")
    print("| workload | cost in |", " | ".join(names), "| ratio to best peer |")
    print("|---|---|" + "---:|" * (len(names) + 1))
    for title in [title for title in WORKLOADS if title in results]:
        by_name = results[title]
        costs = {name: cost(title, by_name.get(name, [])) for name in names}
        peers = [c for name, c in costs.items() if name not in (OURS, LIMITED) and not math.isnan(c)]
        ratio = costs[OURS] / min(peers) if OURS in costs and peers else math.nan
        unit = UNITS[title] if UNITS[title] == "bytes/tunnel" else "CPU µs"
        shown = " | ".join(show(costs[name]) for name in names)
        print(f"| {title} | {unit} | {shown} | {'-' if math.isnan(ratio) else f'{ratio:.2f}'} |")
    for title, by_name in results.items():
        for name, found in by_name.items():
            for _, _, seen in found:
                if went_wrong(seen):
                    print(f"\nNot to be trusted: {title} through {name}: {seen}")


main()
