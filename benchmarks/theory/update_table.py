#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the table of docs/rules.md anew, or checks that it is what the rules say now.

usage: update_table.py [--check] --kappa PROGRAM [--root DIR]

  --check   compares all but the ratios that were found, which take a minute of search; the exit code is 1 if they differ
"""
import argparse
import os
import re
import subprocess
import sys

BEGIN, END = "<!-- kappa --table: begin -->\n", "<!-- kappa --table: end -->\n"


def lasting(text):
    """A table without what a search found, and without how long it searched."""
    lines = []
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            lines.append(cells[:5] + [cells[6], cells[8]] if len(cells) == 9 else cells)
        elif not re.match(r"\d+ aggregations", line):
            lines.append(line)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--kappa", required=True)
    parser.add_argument("--root", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    arguments = parser.parse_args()
    path = os.path.join(arguments.root, "docs", "rules.md")
    with open(path, encoding="utf-8") as file:
        page = file.read()
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        sys.exit("docs/rules.md: has not one place for the table")
    before, rest = page.split(BEGIN)
    table, after = rest.split(END)
    command = [arguments.kappa, "--table"] + (["--tries", "16"] if arguments.check else [])
    fresh = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout + "\n"
    if arguments.check:
        if lasting(table) != lasting("\n" + fresh):
            differing = [f"- {a}\n+ {b}" for a, b in zip(lasting(table), lasting("\n" + fresh)) if a != b]
            sys.exit("docs/rules.md: its table is not what the rules say: run benchmarks/theory/update_table.py\n"
                     + "\n".join(differing))
        return
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        file.write(before + BEGIN + "\n" + fresh + END + after)


if __name__ == "__main__":
    main()
