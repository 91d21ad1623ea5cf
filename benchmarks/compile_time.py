#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints a line for each budget of compile time: what was measured, the bar, ok or short.

usage: compile_time.py [--compiler CXX]... [--rounds N] [--filter TEXT]... [--include DIR] [--json FILE]

Including a header is measured against including <vector>, both with -fsyntax-only and in turns; a program that uses one
rule is compiled at -O2 and linked. Times are what the compiler's processes spend on a processor, so that other work on
the machine counts less; medians over the rounds. Compilers: those of g++ and clang++ that are installed.
Exit code: 0 if all budgets hold, 1 if one is short, 2 for wrong usage or code that does not compile.
"""
import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# One of each kind: linear, ordered, nearest, geometric.
PROGRAMS = {"mean": "mean{}", "median": "median{}", "trimmed_mean": "trimmed_mean{.trim = 1}", "meamed": "meamed{.f = 1}",
            "krum": "krum{.f = 0}", "geometric_median": "geometric_median{}"}
WITH_EIGEN = {"caf", "dnc", "smea"}  # what they cost to include is Eigen's
PROGRAM = """#include <vector>
#include <fedagg/passes/aggregate.hpp>
#include <fedagg/rules/{stem}.hpp>
int main() {{
  std::vector<float> north(1000, 1.0f), south(1000, 2.0f), west(1000, 3.0f), global(1000);
  fedagg::cohort clients;
  clients.add(north, {{.weight = 120}}).add(south, {{.weight = 80}}).add(west);
  fedagg::aggregate(fedagg::{rule}, clients, global);
  return global[0] > 0 ? 0 : 1;
}}
"""


def processor_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "CCACHE_DISABLE": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        print(f"{' '.join(command)}\n{done.stderr}", file=sys.stderr)
        sys.exit(2)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


class Report:
    def __init__(self, filters):
        self.filters, self.lines = filters, []
        print(f"{'budget':54} {'measured':>8} {'bar':>10}")

    def wants(self, name):
        return not self.filters or any(text in name for text in self.filters)

    def add(self, name, samples, bar, unit):
        measured = statistics.median(samples)
        ok = measured <= bar
        spread = f"{min(samples):.2f} .. {max(samples):.2f}"
        print(f"{name:54} {measured:6.2f} {unit} <= {bar:4.2f} {unit}  {'ok' if ok else 'short':5} {spread}", flush=True)
        self.lines.append({"name": name, "measured": measured, "bar": bar, "unit": unit, "ok": ok})


def measure(compiler, include, rules, folder, rounds, report):
    name = os.path.basename(compiler)
    flags = ["-std=c++20", "-I", include]

    def source(stem, text):
        path = os.path.join(folder, stem + ".cpp")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def syntax(path):
        return processor_seconds([compiler, *flags, "-fsyntax-only", path])

    vector = source("vector", "#include <vector>\n")
    headers = [("fedagg/fedagg.hpp", 3.0)] + [(f"fedagg/rules/{stem}.hpp", 2.0) for stem in rules]
    for header, bar in headers:
        line = f"{name}, <{header}> / <vector>"
        if not report.wants(line):
            continue
        unit = source("header", f"#include <{header}>\n")
        syntax(vector), syntax(unit)  # the files come from the disk the first time
        samples = []
        for _ in range(rounds):
            reference = syntax(vector)
            samples.append(syntax(unit) / reference)
        report.add(line, samples, bar, "x")
    for stem, rule in PROGRAMS.items():
        line = f"{name}, a program with {stem}, -O2 and linked"
        if not report.wants(line):
            continue
        unit, program = source("program", PROGRAM.format(stem=stem, rule=rule)), os.path.join(folder, "program")
        # A few rounds do: it takes seconds, and runs alone.
        samples = [processor_seconds([compiler, *flags, "-O2", unit, "-o", program]) for _ in range(min(rounds, 3))]
        if subprocess.run([program]).returncode != 0:
            print(f"{line}: a wrong result", file=sys.stderr)
            sys.exit(2)
        report.add(line, samples, 3.0, "s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", action="append", metavar="CXX")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--filter", action="append", default=[], metavar="TEXT")
    parser.add_argument("--include", default=os.path.join(ROOT, "include"), metavar="DIR", help="another copy, installed")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    compilers = arguments.compiler or [c for c in ("g++", "clang++") if shutil.which(c)]
    if not compilers or arguments.rounds < 1:
        parser.error("needs a compiler and at least one round")
    stems = {f[:-4] for f in os.listdir(os.path.join(arguments.include, "fedagg/rules")) if f.endswith(".hpp")}
    rules = sorted(stems - WITH_EIGEN)
    for compiler in compilers:
        version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
        print(version.splitlines()[0])
    report = Report(arguments.filter)
    with tempfile.TemporaryDirectory() as folder:
        for compiler in compilers:
            measure(compiler, arguments.include, rules, folder, arguments.rounds, report)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report.lines, file, indent=1)
    shorts = sum(not line["ok"] for line in report.lines)
    print(f"{len(report.lines)} budgets, {shorts} short")
    if not report.lines:
        parser.error("no budget has that name")
    sys.exit(1 if shorts else 0)


if __name__ == "__main__":
    main()
