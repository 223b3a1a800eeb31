"""Draws time and peak memory over the size of the sample, a column a job: plot.py FIGURES.json PLOT.svg"""

import json
import sys

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "gatefold"
matplotlib.rcParams["svg.fonttype"] = "none"
from matplotlib import pyplot

COLORS = {"floor": "#999999", "gatefold": "#0b6e4f", "DuckDB": "#d9a400", "Polars": "#1f6fb4", "PySpark": "#c8553d"}
MEASURES = {"seconds": "time, s", "peak_mib": "peak memory, MiB"}


def main(figures, plot):
    with open(figures) as file:
        records = json.load(file)
    jobs = list(dict.fromkeys(record["job"] for record in records))
    ways = list(dict.fromkeys((record["way"], record["buckets"]) for record in records))
    figure, axes = pyplot.subplots(len(MEASURES), len(jobs), figsize=(4 * len(jobs), 6), squeeze=False, layout="constrained")
    for column, job in enumerate(jobs):
        axes[0][column].set_title(job)
        for row, (measure, label) in enumerate(MEASURES.items()):
            draw(axes[row][column], [record for record in records if record["job"] == job], ways, measure)
            if column == 0:
                axes[row][column].set_ylabel(label)
        axes[-1][column].set_xlabel("accounts")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5), frameon=False)
    figure.savefig(plot, metadata={"Date": None})


def draw(axis, records, ways, measure):
    for way, buckets in ways:
        measured = [record for record in records if (record["way"], record["buckets"]) == (way, buckets)]
        points = sorted((record["accounts"], record[measure]) for record in measured)
        look = {"marker": "s", "linestyle": "--", "markerfacecolor": "none"} if buckets else {"marker": "o"}
        label = f"{way}, {buckets} buckets" if buckets else way
        axis.plot(*zip(*points) if points else ([], []), label=label, color=COLORS[way.split()[0]], **look)
    axis.set_xscale("log")
    axis.set_yscale("log")
    sizes = sorted({record["accounts"] for record in records})
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axis.minorticks_off()
    axis.grid(True, color="#dddddd", linewidth=0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
