#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks that a unit does not compile, and for the reason it names.

usage: run.py FILE.cpp -- COMPILER [FLAG...]
       run.py --self-test -- COMPILER [FLAG...]

The first line of the file reads `// expect: <regex>`. The test passes if compiling fails and the compiler's output
matches the regex, and if the same file compiles with -DFEDAGG_FAIL_CONTROL: a unit that fails for another reason
(a renamed header, a typing error) would otherwise pass for ever.
"""
import os
import re
import subprocess
import sys
import tempfile


def compile_unit(command, path, *more):
    env = dict(os.environ, LC_ALL="C")  # the compiler's messages are matched
    done = subprocess.run([*command, "-std=c++20", "-fsyntax-only", *more, path], env=env, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.returncode == 0, done.stdout


def verdict(path, command):
    """None if the unit fails as it should, else what is wrong."""
    with open(path, encoding="utf-8") as file:
        first = file.readline()
    expected = re.match(r"// expect: (\S.*)", first)
    if not expected:
        return "the first line is not `// expect: <regex>`"
    compiles, output = compile_unit(command, path, "-DFEDAGG_FAIL_CONTROL")
    if not compiles:
        return "the control does not compile either:\n" + output
    compiles, output = compile_unit(command, path)
    if compiles:
        return "it compiles"
    if not re.search(expected.group(1), output):
        return f"it fails, but nothing matches /{expected.group(1)}/:\n{output}"
    return None


SELF_TEST = {
    "as it should": ("// expect: broken promise\n#ifndef FEDAGG_FAIL_CONTROL\nstatic_assert(false, \"broken promise\");\n#endif\n",
                     None),
    "no expectation": ("int x;\n", "first line"),
    "compiles": ("// expect: anything\nint x;\n", "it compiles"),
    "another reason": ("// expect: broken promise\n#ifndef FEDAGG_FAIL_CONTROL\nint x = y;\n#endif\n", "nothing matches"),
    "control fails": ("// expect: error\nint x = y;\n", "the control"),
}


def self_test(command):
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for name, (text, want) in SELF_TEST.items():
            path = os.path.join(folder, "unit.cpp")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            got = verdict(path, command)
            if (got is None) != (want is None) or (want and want not in got):
                wrong.append(f"{name}: expected {want!r}, got {got!r}")
    return "\n".join(wrong) or None


def main():
    if "--" not in sys.argv[2:]:
        sys.exit(__doc__)
    subject, command = sys.argv[1], sys.argv[sys.argv.index("--") + 1:]
    problem = self_test(command) if subject == "--self-test" else verdict(subject, command)
    if problem:
        sys.exit(f"{subject}: {problem}")


if __name__ == "__main__":
    main()
