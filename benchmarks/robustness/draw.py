#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws what the robustness study found.

usage: draw.py FOLDER [--out FOLDER] [--format svg|png]

Reads summary.json of the first folder, which holds the current configuration and nothing else, and writes

  curves   test accuracy by round, a panel for each attack, at the learning rate chosen on validation data
  attacks  the last of it, rule by attack; a frame for the rule that wins on validation data (where there are at most
           six models, partitions and f in all)
  worst    each rule under its worst attack, and the rule that wins, by f and heterogeneity (where these vary)

Needs matplotlib.
"""
import argparse
import json
import math
import os
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

COLOURS = ["#b91c1c", "#1d4ed8", "#16a34a", "#ca8a04", "#c026d3", "#111827", "#0891b2", "#9a3412"]


def model_text(model):
    return "softmax regression" if not model else "MLP " + "-".join(map(str, model))


def heterogeneity_text(h):
    if h["kind"] == "dirichlet":
        return f"Dirichlet {h['alpha']:g}"
    return f"similarity {h['gamma']:g}" if h["kind"] == "gamma_similarity" else h["kind"]


def f_text(f):
    return f"f = {f['true']}" + ("" if f["true"] == f["declared"] else f", declared {f['declared']}")


def unique(things):
    return list({json.dumps(t, sort_keys=True): t for t in things}.values())


def case_of(line):
    return [line["model"], line["heterogeneity"], line["f"]]


def case_text(case):
    return f"{model_text(case[0])}, {heterogeneity_text(case[1])}, {f_text(case[2])}"


def save(figure, path):
    # The same picture for the same data: no time stamp, no random ids.
    figure.savefig(path, dpi=80, metadata={"Date": None} if path.endswith(".svg") else {"Software": None})
    plt.close(figure)
    print("wrote", path)


def heat(axis, values, rows, columns, notes=None, size=8):
    """A grid of percentages. None is no data and stays blank; notes are lines under the numbers; what has one of refused
    rounds is hatched."""
    notes = notes or [[""] * len(columns) for _ in rows]
    axis.set_facecolor("#e2e8f0")
    axis.imshow([[math.nan if v is None else v for v in row] for row in values], vmin=0, vmax=100, cmap="viridis",
                aspect="auto")
    for y, row in enumerate(values):
        for x, value in enumerate(row):
            light = value is None or value > 60
            text = "no data" if value is None else f"{value:.0f}" + ("\n" + notes[y][x] if notes[y][x] else "")
            axis.text(x, y, text, ha="center", va="center", fontsize=size if value is not None else 6,
                      color="black" if light else "white")
            if "refused" in notes[y][x]:
                axis.add_patch(plt.Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="//", linewidth=0,
                                             edgecolor="black" if light else "white", alpha=0.4))
    axis.set_xticks(range(len(columns)), columns, fontsize=8)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)


def note(attack):
    """What is to be said of an attack's number besides."""
    texts = []
    if attack["diverged"] > 0:
        texts.append("not finite")
    if attack["refused"] > 0:
        texts.append(f"refused {max(1, round(100 * attack['refused']))} %")
    return "\n".join(texts)


def draw_curves(summary, path):
    cases = unique(map(case_of, summary))
    attacks = unique(a["attack"] for line in summary for a in line["attacks"])
    rules = unique(line["rule"] for line in summary)
    figure, axes = plt.subplots(len(cases), len(attacks), squeeze=False, sharex=True, sharey=True,
                                figsize=(2.3 * len(attacks), 2.3 * len(cases) + 0.7), layout="constrained")
    refused = False
    handles = {}
    for axis_row, case in zip(axes, cases):
        for axis, attack in zip(axis_row, attacks):
            axis.set_title(attack, fontsize=9)
            axis.set_ylim(0, 100)
            axis.grid(alpha=0.3)
            for line in summary:
                found = [a for a in line["attacks"] if a["attack"] == attack and case_of(line) == case]
                if not found:
                    continue
                mean = [100 * sum(values) / len(values) for values in zip(*found[0]["curves"])]
                style = ":" if found[0]["refused"] > 0 else "--" if line["rule"] == "mean" else "-"
                refused = refused or style == ":"
                drawn = axis.plot(found[0]["rounds"], mean, linewidth=1.6, linestyle=style,
                                  color=COLOURS[rules.index(line["rule"]) % len(COLOURS)])
                handles.setdefault(line["rule"], drawn[0])
        axis_row[0].set_ylabel("\n".join([model_text(case[0]), heterogeneity_text(case[1]) + ", " + f_text(case[2]),
                                          "test accuracy, %"]), fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("round" + (" (dotted: rounds were refused)" if refused else ""), fontsize=8)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=len(handles), fontsize=9,
                  frameon=False)
    save(figure, path)


def draw_attacks(summary, path):
    cases = unique(map(case_of, summary))
    attacks = unique(a["attack"] for line in summary for a in line["attacks"])
    rules = unique(line["rule"] for line in summary)
    figure, axes = plt.subplots(len(cases), 1, squeeze=False, layout="constrained",
                                figsize=(max(7, 1.1 * len(attacks) + 3), len(cases) * (0.34 * len(rules) + 0.9)))
    for axis, case in zip(axes.flat, cases):
        lines = {line["rule"]: line for line in summary if case_of(line) == case}
        values = [[None] * (len(attacks) + 1) for _ in rules]
        notes = [[""] * (len(attacks) + 1) for _ in rules]
        for y, rule in enumerate(rules):
            if rule not in lines:
                continue
            for a in lines[rule]["attacks"] + [dict(lines[rule]["worst"], attack=None)]:
                x = attacks.index(a["attack"]) if a["attack"] else len(attacks)
                values[y][x] = 100 * a["test"]
                notes[y][x] = note(a).replace("\n", ", ")
        heat(axis, values, rules, attacks + ["the worst"], notes, size=7)
        axis.axvline(len(attacks) - 0.5, color="white", linewidth=3)
        for x, attack in enumerate(attacks + [None]):
            at = {rule: line["worst_validation"] if attack is None else a["validation"] for rule, line in lines.items()
                  for a in line["attacks"] if attack in (None, a["attack"])}
            if at:
                y = rules.index(max(at, key=at.get))
                axis.add_patch(plt.Rectangle((x - 0.47, y - 0.44), 0.94, 0.88, fill=False, edgecolor="#dc2626", linewidth=1.5))
        axis.set_title("test accuracy, %: " + case_text(case), fontsize=9)
    save(figure, path)


def draw_worst(summary, path):
    # The declared f varies on its own: then it is an axis, and each heterogeneity has its own panels.
    apart = any(line["f"]["true"] != line["f"]["declared"] for line in summary)
    groups = unique([line["model"], line["heterogeneity"] if apart else None] for line in summary)
    rules = unique(line["rule"] for line in summary)
    letter = {rule: chr(ord("A") + number) for number, rule in enumerate(rules)}
    across = 4
    down = -(-(len(rules) + 1) // across)
    figure = plt.figure(layout="constrained", figsize=(2.9 * across, (2.3 * down + 0.3) * len(groups)))
    for part, (model, heterogeneity) in zip(figure.subfigures(len(groups), 1, squeeze=False).flat, groups):
        lines = [line for line in summary
                 if line["model"] == model and (not apart or line["heterogeneity"] == heterogeneity)]
        column = (lambda line: line["f"]["declared"]) if apart else (lambda line: heterogeneity_text(line["heterogeneity"]))
        xs = unique(map(column, lines))
        ys = sorted({line["f"]["true"] for line in lines}, reverse=True)
        at = {(line["rule"], line["f"]["true"], column(line)): line for line in lines}
        part.suptitle("test accuracy under the worst attack, %: " + model_text(model) +
                      (", " + heterogeneity_text(heterogeneity) if apart else ""), fontsize=11)
        axes = list(part.subplots(down, across, squeeze=False).flat)
        for axis in axes:
            axis.set_visible(False)
        for axis, name in zip(axes, rules + ["the winner"]):
            axis.set_visible(True)
            values = [[None] * len(xs) for _ in ys]
            notes = [[""] * len(xs) for _ in ys]
            for row, y in enumerate(ys):
                for col, x in enumerate(xs):
                    found = [at[rule, y, x] for rule in rules if (rule, y, x) in at and name in (rule, "the winner")]
                    if found:  # the winner is chosen as the learning rates are, not by the numbers that are shown
                        best = max(found, key=lambda line: line["worst_validation"])
                        values[row][col] = 100 * best["worst"]["test"]
                        texts = [letter[best["rule"]]] if name == "the winner" else []
                        notes[row][col] = "\n".join(texts + [note(best["worst"])]).strip()
            heat(axis, values, ys, xs, notes, size=7)
            axis.tick_params(axis="x", rotation=0 if apart else 25)
            axis.set_title(letter[name] + "  " + name if name in letter else name + ", by letter", fontsize=9)
            axis.set_xlabel("f declared" if apart else "", fontsize=8)
            axis.set_ylabel("f true" if apart else "f", fontsize=8)
    save(figure, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--out")
    parser.add_argument("--format", choices=["svg", "png"], default="svg")
    a = parser.parse_args()
    with open(os.path.join(a.folder, "summary.json"), encoding="utf-8") as file:
        summary = json.load(file)
    if not summary:
        sys.exit("draw.py: the summary is empty")
    out = a.out or a.folder
    os.makedirs(out, exist_ok=True)
    plt.rcParams["svg.hashsalt"] = "fedagg"
    plt.rcParams["svg.fonttype"] = "none"
    plt.rcParams["font.family"] = "sans-serif"
    cases = unique(map(case_of, summary))
    draw_curves(summary, os.path.join(out, "curves." + a.format))
    if len(cases) <= 6:
        draw_attacks(summary, os.path.join(out, "attacks." + a.format))
    if len(cases) > len(unique(case[0] for case in cases)):
        draw_worst(summary, os.path.join(out, "worst." + a.format))


if __name__ == "__main__":
    main()
