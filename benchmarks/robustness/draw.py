#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws what the robustness study found: accuracy curves, and heat maps of the worst attack with the rule that wins.

usage: draw.py FOLDER [--out FOLDER] [--format svg|png]

Reads runs.jsonl and summary.json of the first folder; the learning rates are those of the summary, chosen on
validation data. Needs matplotlib.
"""
import argparse
import collections
import json
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = ["#b91c1c", "#1d4ed8", "#15803d", "#a16207", "#7e22ce", "#0f766e", "#be185d", "#475569"]


def label(thing):
    """As label_of of rules.cpp."""
    if "label" in thing:
        return thing["label"]
    if "chain" in thing:
        return " | ".join(part["rule"] for part in thing["chain"])
    if "base" in thing:
        return f"{label(thing['base'])} ({thing['attack']})"
    return thing.get("rule", thing.get("attack"))


def model_text(model):
    return "softmax" if not model else "MLP " + "-".join(map(str, model))


def heterogeneity_text(h):
    if h["kind"] == "dirichlet":
        return f"Dirichlet {h['alpha']:g}"
    return f"similarity {h['gamma']:g}" if h["kind"] == "gamma_similarity" else h["kind"]


def f_text(f):
    return f"f = {f['true']}" + ("" if f["true"] == f["declared"] else f", declared {f['declared']}")


def key(*parts):
    return json.dumps(parts, sort_keys=True)


def unique(things):
    return list({json.dumps(t, sort_keys=True): t for t in things}.values())


def curves(runs, summary, path):
    """One row of panels for each model, heterogeneity and f; one panel for each attack."""
    tests = collections.defaultdict(list)
    for run in runs:
        p = run["parameters"]
        where = key(p["model"], p["heterogeneity"], p["f"], label(p["rule"]), p["learning_rate"], label(p["attack"]))
        tests[where].append((run["rounds"], run["test"]))
    rows = unique([[line["model"], line["heterogeneity"], line["f"]] for line in summary])
    attacks = [a["attack"] for a in summary[0]["attacks"]]
    rules = unique([line["rule"] for line in summary])
    figure, axes = plt.subplots(len(rows), len(attacks), squeeze=False, sharex=True, sharey=True,
                                figsize=(3.1 * len(attacks), 2.5 * len(rows) + 0.7), layout="constrained")
    for axis_row, row in zip(axes, rows):
        for axis, attack in zip(axis_row, attacks):
            for line in summary:
                if [line["model"], line["heterogeneity"], line["f"]] != row:
                    continue
                found = tests[key(*row, line["rule"], line["learning_rate"], attack)]
                mean = [100 * sum(values) / len(values) for values in zip(*(test for _, test in found))]
                axis.plot(found[0][0], mean, label=line["rule"], color=COLOURS[rules.index(line["rule"]) % len(COLOURS)],
                          linestyle="--" if line["rule"] == "mean" else "-", linewidth=1.6)
            axis.set_title(attack.replace("_", " "), fontsize=10)
            axis.set_ylim(0, 100)
            axis.grid(alpha=0.3)
        axis_row[0].set_ylabel(", ".join([model_text(row[0]), heterogeneity_text(row[1])]) + "\n" + f_text(row[2]) +
                               "\ntest accuracy, %", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("round")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=9, frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def heat_maps(summary, path):
    """For each model (and for each heterogeneity, where the declared f varies) a panel for each rule and one for the
    winner: the least test accuracy over the attacks."""
    apart = any(line["f"]["true"] != line["f"]["declared"] for line in summary)
    groups = unique([[line["model"], line["heterogeneity"] if apart else None] for line in summary])
    rules = unique([line["rule"] for line in summary])
    across = 4
    down = -(-(len(rules) + 1) // across)
    figure, axes = plt.subplots(down * len(groups), across, squeeze=False, layout="constrained",
                                figsize=(3.4 * across, 2.6 * down * len(groups)))
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (model, heterogeneity) in enumerate(groups):
        lines = [line for line in summary
                 if line["model"] == model and (not apart or line["heterogeneity"] == heterogeneity)]
        column = (lambda line: line["f"]["declared"]) if apart else (lambda line: heterogeneity_text(line["heterogeneity"]))
        xs = unique([column(line) for line in lines])
        ys = sorted({line["f"]["true"] for line in lines}, reverse=True)
        worst = {rule: [[None] * len(xs) for _ in ys] for rule in rules}
        for line in lines:
            worst[line["rule"]][ys.index(line["f"]["true"])][xs.index(column(line))] = 100 * line["worst"]["test"]
        winner = [[max((rule for rule in rules if worst[rule][y][x] is not None), key=lambda rule: worst[rule][y][x])
                   for x in range(len(xs))] for y in range(len(ys))]
        panels = axes[number * down:(number + 1) * down].flat
        for axis, name in zip(panels, rules + ["the winner"]):
            axis.set_axis_on()
            best = name == "the winner"
            grid = [[worst[winner[y][x] if best else name][y][x] or 0 for x in range(len(xs))] for y in range(len(ys))]
            axis.imshow(grid, vmin=0, vmax=100, cmap="viridis", aspect="auto")
            for y in range(len(ys)):
                for x in range(len(xs)):
                    text = f"{grid[y][x]:.0f}" + ("\n" + winner[y][x].replace(" | ", "\n| ") if best else "")
                    axis.text(x, y, text, ha="center", va="center", fontsize=5 if best else 9,
                              color="black" if grid[y][x] > 60 else "white")
            axis.set_xticks(range(len(xs)), xs, fontsize=7, rotation=0 if apart else 25)
            axis.set_yticks(range(len(ys)), ys, fontsize=8)
            axis.set_title(name.replace("_", " "), fontsize=10)
            axis.set_xlabel("f declared" if apart else "", fontsize=8)
            axis.set_ylabel("f true" if apart else "f", fontsize=8)
    title = "test accuracy under the worst attack, %: " + model_text(groups[0][0])
    if apart:
        title += ", " + heterogeneity_text(groups[0][1])
    if len(groups) == 1:
        figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--out")
    parser.add_argument("--format", choices=["svg", "png"], default="svg")
    a = parser.parse_args()
    with open(os.path.join(a.folder, "summary.json"), encoding="utf-8") as file:
        summary = json.load(file)
    with open(os.path.join(a.folder, "runs.jsonl"), encoding="utf-8") as file:
        runs = [json.loads(line) for line in file if line.endswith("\n")]
    if not summary:
        sys.exit("draw.py: the summary is empty")
    out = a.out or a.folder
    os.makedirs(out, exist_ok=True)
    # The same picture for the same data: no time stamp, no random ids.
    plt.rcParams["svg.hashsalt"] = "fedagg"
    plt.rcParams["svg.fonttype"] = "none"
    plt.rcParams["font.family"] = "sans-serif"
    curves(runs, summary, os.path.join(out, "curves." + a.format))
    heat_maps(summary, os.path.join(out, "worst." + a.format))
    print("wrote", os.path.join(out, "curves." + a.format), "and", os.path.join(out, "worst." + a.format))


if __name__ == "__main__":
    main()
