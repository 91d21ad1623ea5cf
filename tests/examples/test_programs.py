#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The examples as a user meets them: the README's ten lines are those of quickstart.cpp, and the hospitals demo keeps
what its output says.

usage: test_programs.py --source DIR --hospitals PROGRAM
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

parser = argparse.ArgumentParser()
parser.add_argument("--source", required=True)
parser.add_argument("--hospitals", required=True)
arguments, rest = parser.parse_known_args()


def read(path):
    with open(os.path.join(arguments.source, path), encoding="utf-8") as file:
        return file.read()


def tensors(path):
    """{name: (dtype, shape, bytes)} of a safetensors file."""
    with open(path, "rb") as file:
        data = file.read()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (t["dtype"], t["shape"], data[8 + size:][slice(*t["data_offsets"])]) for name, t in header.items()}


def hospitals(*options, cwd=None):
    return subprocess.run([arguments.hospitals, *options], cwd=cwd, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)


class Readme(unittest.TestCase):
    def test_shows_quickstart(self):
        block = re.search(r"// \[readme\n(.*?)// readme\]\n", read("examples/quickstart.cpp"), re.S).group(1)
        fences = re.findall(r"```cpp\n(.*?)```", read("README.md"), re.S)
        self.assertIn(block.strip(), [fence.strip() for fence in fences])


class Hospitals(unittest.TestCase):
    def test_output_and_command(self):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "a folder")
            # Relative here, while the command below is run from elsewhere.
            done = hospitals("--out", "a folder", "--rounds", "3", "--seed", "5", cwd=folder)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr, "")  # no progress bar in a pipe
            for word in ["central training", "FedAvg", "FedProx", "FedAdam", "SCAFFOLD", "median", "trimmed mean",
                         "trimmed mean + FedAdam", "harbour alone"]:
                self.assertIn(word, done.stdout)
            xml.etree.ElementTree.parse(os.path.join(out, "curves.svg"))
            with open(os.path.join(out, "results.json"), encoding="utf-8") as file:
                results = json.load(file)
            self.assertEqual((results["seed"], results["rounds"], len(results["runs"])), (5, 3, 27))
            command = next(line.strip() for line in done.stdout.splitlines() if " aggregate --rule " in line)
            run = os.path.join(out, "trimmed-mean-one-flips-signs")
            by_hand = os.path.join(run, "by-hand.safetensors")
            self.assertFalse(os.path.exists(by_hand))
            again = subprocess.run(command, shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
            self.assertEqual(again.returncode, 0, command + "\n" + again.stderr)
            self.assertEqual(tensors(by_hand), tensors(os.path.join(run, "global.safetensors")))
            self.assertNotEqual(tensors(by_hand), tensors(os.path.join(run, "global-before.safetensors")))

    def test_figures_of_the_page(self):
        """docs/hospitals.md shows what the command above its figures prints, to within three decisions of 569."""
        page = re.search(r"```\nhospitals --seed 1\n```\n+```text\n(.*?)```", read("docs/hospitals.md"), re.S).group(1)
        row = re.compile(r"^  (\S.*?)  +([\d. ]+)$", re.M)
        with tempfile.TemporaryDirectory() as folder:
            done = hospitals("--seed", "1", cwd=folder)
        shown, printed = dict(row.findall(page)), dict(row.findall(done.stdout))
        self.assertEqual(list(shown), list(printed))
        self.assertGreater(len(shown), 10)
        for name in shown:
            there, here = ([float(x) for x in rows[name].split()] for rows in (shown, printed))
            self.assertEqual(len(there), len(here), name)
            for a, b in zip(there, here):
                self.assertLessEqual(abs(a - b), 0.65, name)

    def test_help(self):
        done = hospitals("--help")
        self.assertEqual(done.returncode, 0)
        self.assertIn("usage: hospitals", done.stdout)

    def test_bad_options(self):
        with tempfile.TemporaryDirectory() as folder:
            for options in [["--nonsense"], ["--seed"], ["--seed", "x"], ["--seed", "-1"], ["--rounds", "0"],
                            ["--rounds", "1001"], ["--rounds", "2.5"], ["--rounds", "9" * 30], ["--out", ""], ["file"]]:
                with self.subTest(options=options):
                    done = hospitals(*options, cwd=folder)
                    self.assertEqual(done.returncode, 2)
                    self.assertIn("usage: hospitals", done.stderr)
                    self.assertEqual(os.listdir(folder), [])

    def test_folder_that_cannot_be(self):
        with tempfile.NamedTemporaryFile() as file:
            done = hospitals("--out", os.path.join(file.name, "below"))
            self.assertEqual(done.returncode, 1)
            self.assertIn("hospitals: ", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *rest])
