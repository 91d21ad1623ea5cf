#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What examples/libtorch_round.cpp says holds: it learns by every algorithm, in place, and again the same by a seed.

usage: test_libtorch.py PROGRAM DIGITS
"""
import subprocess
import sys
import unittest

PROGRAM, DATA = sys.argv.pop(1), sys.argv.pop(1)


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


def table(text):
    lines = [line.split() for line in text.splitlines()]
    start = lines.index(["round", "FedAvg", "FedProx", "SCAFFOLD"])
    return [[float(x) for x in line] for line in lines[start + 1:] if line[0].isdigit()]


class LibTorchRound(unittest.TestCase):
    def test_learns_in_place(self):
        done = run(DATA, "2")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = table(done.stdout)
        self.assertEqual([row[0] for row in rows], list(range(1, 13)))
        last = [sum(row[k] for row in rows[-3:]) / 3 for k in (1, 2, 3)]
        self.assertGreater(min(last), 85, done.stdout)
        self.assertGreater(last[2], max(last[:2]) - 1, done.stdout)
        self.assertIn("the server's 16 tensors are where they were: yes\n", done.stdout)

    def test_seed(self):
        first, again, other = run(DATA, "1", "2"), run(DATA, "1", "2"), run(DATA, "2", "2")
        self.assertEqual(first.stdout, again.stdout)
        self.assertEqual(len(table(first.stdout)), 2)
        self.assertNotEqual(first.stdout, other.stdout)

    def test_no_data(self):
        done = run("nowhere.csv")
        self.assertEqual(done.returncode, 2)
        self.assertIn("nowhere.csv", done.stderr)


if __name__ == "__main__":
    unittest.main()
