#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The robustness study on a tiny configuration: what it writes, that it goes on where it stopped, and that a mean falls
to ALIE where mixing holds; and that no rule exceeds its proven bound in a short search.

usage: test_study.py --program PROGRAM --kappa PROGRAM
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("--program", required=True)
parser.add_argument("--kappa", required=True)
arguments, rest = parser.parse_known_args()

CONFIGURATION = {
    "rules": [{"rule": "mean"},
              {"chain": [{"rule": "nnm", "f": "declared"}, {"rule": "trimmed_mean", "trim": "declared"}]}],
    "attacks": [{"attack": "none"}, {"attack": "alie", "z": 10}],
    "f": [2],
    "heterogeneity": [{"kind": "dirichlet", "alpha": 1}],
    "models": [[16]],
    "seeds": [1],
    "learning_rates": [0.1, 0.2],
    "rounds": 150,
    "evaluate_every": 50,
}


def run(program, *options, cwd=None):
    return subprocess.run([program, *options], cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          check=False)


class Study(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def study(self, configuration, *options):
        path = os.path.join(self.folder, "configuration.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(configuration, file)
        return run(arguments.program, path, "--out", os.path.join(self.folder, "out"), *options)

    def lines(self):
        with open(os.path.join(self.folder, "out", "runs.jsonl"), "rb") as file:
            return file.read().splitlines(keepends=True)

    def test_results_and_resume(self):
        done = self.study(CONFIGURATION)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")  # no progress bar in a pipe
        self.assertIn("8 trainings, 0 of them done before", done.stdout)
        lines = self.lines()
        records = [json.loads(line) for line in lines]
        self.assertEqual(len(records), 8)
        for record in records:
            for key in ["parameters", "compiler", "processor", "isa", "version", "seconds", "refused"]:
                self.assertIn(key, record)
            for key in ["rule", "attack", "f", "heterogeneity", "model", "seed", "learning_rate", "honest", "rounds",
                        "batch", "momentum", "weight_decay", "root"]:
                self.assertIn(key, record["parameters"])
            self.assertEqual(record["rounds"], [50, 100, 150])
            self.assertEqual((len(record["validation"]), len(record["test"])), (3, 3))

        with open(os.path.join(self.folder, "out", "summary.json"), encoding="utf-8") as file:
            summary = {line["rule"]: line for line in json.load(file)}
        alie = {rule: [a["test"] for a in line["attacks"] if a["attack"] == "alie"][0] for rule, line in summary.items()}
        self.assertLess(alie["mean"], alie["nnm | trimmed_mean"] - 0.2)
        self.assertGreater(alie["nnm | trimmed_mean"], 0.6)
        for rule, line in summary.items():  # the rate is the one whose worst attack is best on validation data
            worst = {}
            for record in records:
                parameters = record["parameters"]
                if ("chain" in parameters["rule"]) == (rule != "mean"):
                    rate = parameters["learning_rate"]
                    worst[rate] = min(worst.get(rate, 1), record["validation"][-1])
            self.assertEqual(worst[line["learning_rate"]], max(worst.values()))

        # Killed while it wrote: a lost line and half of another.
        path = os.path.join(self.folder, "out", "runs.jsonl")
        with open(path, "wb") as file:
            file.write(b"".join(lines[:6]) + lines[6][:40])
        again = self.study(CONFIGURATION)
        self.assertIn("8 trainings, 6 of them done before", again.stdout)
        after = self.lines()
        self.assertEqual(after[:6], lines[:6])
        result = lambda line: {k: v for k, v in json.loads(line).items() if k != "seconds"}
        by_parameters = lambda record: json.dumps(record["parameters"])
        self.assertEqual(sorted(map(result, after), key=by_parameters), sorted(map(result, lines), key=by_parameters))

        third = self.study(CONFIGURATION)
        self.assertIn("8 trainings, 8 of them done before", third.stdout)
        self.assertEqual(self.lines(), after)

    def test_every_attack_and_partition(self):
        configuration = dict(
            CONFIGURATION, rounds=3, evaluate_every=3, models=[[]], learning_rates=[0.1],
            rules=[{"rule": "median"}, {"rule": "centered_clipping", "tau": 1},
                   {"chain": [{"rule": "bucketing", "size": 2, "seed": "round"}, {"rule": "nnm", "f": "declared"},
                              {"rule": "krum", "f": "declared"}]}],
            f=[{"true": 2, "declared": 1}],
            heterogeneity=[{"kind": "dirichlet", "alpha": 0.1}, {"kind": "gamma_similarity", "gamma": 0.5},
                           {"kind": "extreme"}],
            attacks=[{"attack": "none"}, {"attack": "sign_flip"}, {"attack": "label_flip"}, {"attack": "mimic"},
                     {"attack": "gaussian", "deviation": 2, "seed": "round"}, {"attack": "min_max"},
                     {"attack": "min_sum"}, {"attack": "fang", "seed": "round"}, {"attack": "non_finite"},
                     {"attack": "inner_product", "tau": 2}, {"attack": "alie"},
                     {"attack": "optimal", "base": {"attack": "alie"}, "steps": 5, "refinements": 2}])
        done = self.study(configuration)
        self.assertEqual(done.returncode, 0, done.stderr)
        records = [json.loads(line) for line in self.lines()]
        self.assertEqual(len(records), 3 * 3 * 12)
        # No round is refused: clients that are not finite are left out, and two of twelve may be lost.
        self.assertEqual({record.get("why", "") for record in records}, {""})

    def test_bad_configurations(self):
        for change in [{"rules": []}, {"rounds": 0}, {"f": [-1]}, {"learning_rates": [0]}, {"momentum": 1},
                       {"nonsense": 1}, {"heterogeneity": [{"kind": "odd"}]}, {"rules": [{"rule": "nothing"}]},
                       {"rules": [{"chain": [{"rule": "mean"}, {"rule": "mean"}]}]}, {"attacks": [{"attack": "hope"}]},
                       {"rules": [{"rule": "krum", "g": 1}]}]:
            with self.subTest(change=change):
                done = self.study(dict(CONFIGURATION, **change))
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertTrue(done.stderr.startswith("robustness: "))
                self.assertNotIn("trainings", done.stdout)  # refused before anything is trained
        self.assertEqual(run(arguments.program, "--nonsense").returncode, 2)
        self.assertEqual(run(arguments.program, "--help").returncode, 0)


class Kappa(unittest.TestCase):
    def test_bounds_hold(self):
        done = run(arguments.kappa, "--tries", "3000")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn("refused", done.stdout)
        self.assertNotIn("EXCEEDED", done.stdout)
        found = [line.rsplit(None, 5) for line in done.stdout.splitlines()[1:]]
        self.assertGreater(sum(line[4] != "-" for line in found), 20)
        for line in found:  # what the search finds is not trivial: no rule does better than f / (n - 2f)
            if line[4] != "-":
                self.assertGreater(float(line[3]), 0.5 * float(line[5]))
        mean = next(line for line in found if line[0] == "mean")
        self.assertGreater(float(mean[3]), 1e3)

    def test_bad_options(self):
        for options in [["--rule", "nonsense"], ["--clients", "5"], ["--clients", "4", "--hostile", "2"], ["--odd", "1"]]:
            with self.subTest(options=options):
                self.assertEqual(run(arguments.kappa, *options).returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *rest])
