#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Sees that nothing that handles secrets lets its time depend on them, and that this check can fail.

usage: run.py --valgrind VALGRIND PROGRAM
       run.py --work DIR -- CLANG [FLAG...]

The first runs the program under valgrind, which knows no AVX-512; the second compiles it with clang's MemorySanitizer,
which does. Both print which instruction sets ran, and then run the program with a planted branch and a planted index
on each: the tool must name them. Exit code 77 if the compiler has no MemorySanitizer.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
NEEDS = {"avx2": ["avx2", "fma"], "avx512": ["avx2", "fma", "avx512f", "avx512bw", "avx512dq", "avx512vl"]}
REPORTS = {"branch": ["Conditional jump or move depends on uninitialised", "use-of-uninitialized-value"],
           "index": ["Use of uninitialised value", "use-of-uninitialized-value"]}


def machine():
    """The instruction sets that this processor has."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            flags = set(re.search(r"^flags\s*:(.*)$", file.read(), re.M).group(1).split())
    except (OSError, AttributeError):
        flags = set()
    return ["baseline"] + [isa for isa, needs in NEEDS.items() if flags.issuperset(needs)]


def run(command, **more):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more)
    return done.returncode, done.stdout


def compiled(work, compiler):
    """The program with MemorySanitizer."""
    os.makedirs(work, exist_ok=True)
    probe = os.path.join(work, "probe.cpp")
    with open(probe, "w", encoding="utf-8") as file:
        file.write("int main() {}\n")
    result, output = run(compiler + ["-fsanitize=memory", probe, "-o", os.path.join(work, "probe")])
    if result != 0:
        print(f"no MemorySanitizer: {output.strip()[-300:]}")
        sys.exit(77)
    program = os.path.join(work, "constant_time")
    source = os.path.join(HERE, "main.cpp")
    cache = [shutil.which("ccache")] if shutil.which("ccache") else []
    flags = ["-std=c++20", "-O2", "-g1", "-fno-omit-frame-pointer", "-fsanitize=memory", "-Wall", "-Wextra", "-Wpedantic",
             "-Wconversion", "-Wshadow", "-Werror", "-I", os.path.join(HERE, "..", "..")]
    for command in [cache + compiler + flags + ["-c", source, "-o", program + ".o"],
                    compiler + ["-fsanitize=memory", program + ".o", "-o", program]]:
        result, output = run(command)
        if result != 0:
            sys.exit(f"does not compile:\n{output[-3000:]}")
    return program


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--valgrind")
    parser.add_argument("--work")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    environment = dict(os.environ, MSAN_OPTIONS="exit_code=1")
    environment.pop("FEDAGG_ISA", None)
    if arguments.valgrind:
        command = [arguments.valgrind, "-q", "--track-origins=no"] + arguments.command
        expected = [isa for isa in machine() if isa != "avx512"]
    else:
        command, expected = [compiled(arguments.work, arguments.command)], machine()

    result, output = run(command, env=environment)
    print(output, end="")
    if result != 0:
        sys.exit(f"time depends on a secret, or the program failed: exit code {result}")
    ran = re.findall(r"^\w+, (\w+): [1-9]\d* cases$", output, re.M)
    if not set(expected).issubset(ran):
        sys.exit(f"ran on {ran}, this machine has {expected}")
    missed = []
    for isa in ran:
        for plant, reports in REPORTS.items():
            result, output = run(command + ["--isa", isa, "--plant", plant], env=environment)
            # The function that is named is the planted one.
            if result != 1 or not any(report in output for report in reports) or "constant_time::planted<" not in output:
                missed.append(f"a planted {plant} on {isa} is not caught: exit code {result}\n{output[-2000:]}")
    if missed:
        sys.exit("\n".join(missed))
    print("planted: caught on " + ", ".join(ran))


if __name__ == "__main__":
    main()
