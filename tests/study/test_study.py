#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The robustness study on small configurations: what it writes, that it goes on where it stopped, what it refuses, and
that a mean falls where mixing holds; and that no rule exceeds its proven bound in a short search.

usage: test_study.py --program PROGRAM --kappa PROGRAM
"""
import argparse
import importlib.util
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

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benchmarks", "robustness")
DATA = os.path.join(SOURCES, "digits.csv")

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

    def summary(self):
        with open(os.path.join(self.folder, "out", "summary.json"), encoding="utf-8") as file:
            return json.load(file)

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
            for key in ["parameters", "compiler", "processor", "isa", "version", "data", "seconds", "refused", "diverged"]:
                self.assertIn(key, record)
            for key in ["rule", "attack", "f", "heterogeneity", "model", "seed", "learning_rate", "honest", "rounds",
                        "batch", "momentum", "weight_decay", "root"]:
                self.assertIn(key, record["parameters"])
            self.assertEqual(record["rounds"], [50, 100, 150])
            self.assertEqual((len(record["validation"]), len(record["test"])), (3, 3))

        summary = {line["rule"]: line for line in self.summary()}
        for rule, line in summary.items():  # the rate is the one whose worst attack is best on validation data
            worst = {}
            for record in records:
                parameters = record["parameters"]
                if ("chain" in parameters["rule"]) == (rule != "mean"):
                    rate = parameters["learning_rate"]
                    worst[rate] = min(worst.get(rate, 1), record["validation"][-1])
            self.assertEqual(worst[line["learning_rate"]], max(worst.values()))
            self.assertEqual(line["worst_validation"], max(worst.values()))

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

        # The summary has this configuration's runs and no others.
        self.study(dict(CONFIGURATION, rounds=100, learning_rates=[0.1]))
        for line in self.summary():
            self.assertEqual(line["learning_rate"], 0.1)
            for attack in line["attacks"]:
                self.assertEqual(attack["rounds"], [50, 100])
                self.assertEqual([len(curve) for curve in attack["curves"]], [2])

    def test_other_data(self):
        small = dict(CONFIGURATION, models=[[]], rounds=2, evaluate_every=2, learning_rates=[0.1])
        data = os.path.join(self.folder, "digits.csv")
        with open(DATA, encoding="utf-8") as file:
            text = file.read()
        for number, changed in enumerate([text, text[:text.rindex("\n", 0, -1) + 1]]):  # the last image less
            with open(data, "w", encoding="utf-8") as file:
                file.write(changed)
            done = self.study(small, "--data", data)
            self.assertIn("4 trainings, 0 of them done before", done.stdout, done.stderr)
            self.assertEqual("4 results in" in done.stdout and "do not count" in done.stdout, number == 1)
        self.assertEqual(len(self.lines()), 8)

    def test_what_the_papers_show(self):
        """The defaults in small: the mean falls, NNM + trimmed mean holds."""
        with open(os.path.join(SOURCES, "defaults.json"), encoding="utf-8") as file:
            defaults = json.load(file)
        chain = "nnm | trimmed_mean"
        rules = [rule for rule in defaults["rules"] if "chain" in rule or rule["rule"] == "mean"]
        done = self.study(dict(defaults, rules=rules, seeds=[1], learning_rates=[0.5]))
        self.assertEqual(done.returncode, 0, done.stderr)
        for line in self.summary():
            test = {a["attack"]: a["test"] for a in line["attacks"]}
            with self.subTest(model=line["model"], rule=line["rule"], test=test):
                self.assertGreater(test["none"], 0.8)
                if line["rule"] == chain:
                    self.assertGreater(min(test.values()), 0.6)
                else:
                    for attack in ["sign_flip x 4", "optimal inner_product", "optimal alie"]:
                        self.assertLess(test[attack], 0.5)
                    self.assertGreater(test["sign_flip"], 0.8)  # as is, it only makes the mean's steps shorter

    def test_refused_rounds(self):
        configuration = dict(CONFIGURATION, models=[[]], rounds=4, evaluate_every=2, learning_rates=[0.1], f=[7],
                             rules=[{"rule": "krum", "f": 4}, {"rule": "mean"}],
                             attacks=[{"attack": "non_finite"}, {"attack": "sign_flip"}])
        done = self.study(configuration)
        self.assertEqual(done.returncode, 0, done.stderr)
        refused = {(line["rule"], a["attack"]): a["refused"] for line in self.summary() for a in line["attacks"]}
        self.assertEqual(refused, {("krum", "non_finite"): 1, ("krum", "sign_flip"): 0, ("mean", "non_finite"): 0,
                                   ("mean", "sign_flip"): 0})
        self.assertRegex(done.stdout, r"krum.* r100")
        self.assertIn("refused", done.stdout)

    def test_state_of_centered_clipping(self):
        """The same rule alone and behind a stage that changes nothing."""
        clipping = {"rule": "centered_clipping", "tau": 0.2}
        chain = {"chain": [{"rule": "static_clipping", "threshold": 1e9}, clipping]}
        done = self.study(dict(CONFIGURATION, models=[[]], rounds=40, evaluate_every=10, learning_rates=[0.2],
                               rules=[clipping, chain], attacks=[{"attack": "gaussian", "seed": "seed"}]))
        self.assertEqual(done.returncode, 0, done.stderr)
        alone, chained = [line["attacks"][0]["curves"][0] for line in self.summary()]
        for a, b in zip(alone, chained):
            self.assertAlmostEqual(a, b, delta=0.02)

    @unittest.skipUnless(importlib.util.find_spec("matplotlib"), "needs matplotlib")
    def test_pictures(self):
        configuration = dict(CONFIGURATION, models=[[], [4]], rounds=2, evaluate_every=1, learning_rates=[0.1],
                             f=[{"true": 1, "declared": 1}, {"true": 2, "declared": 1}, {"true": 2, "declared": 2}])
        self.assertEqual(self.study(configuration).returncode, 0)  # not every pair: the grid is not full
        out = os.path.join(self.folder, "out")
        draw = [os.path.join(SOURCES, "draw.py"), out]
        pictures = []
        for _ in range(2):
            done = run(sys.executable, *draw)
            self.assertEqual(done.returncode, 0, done.stderr)
            pictures.append([])
            for name in ["curves.svg", "attacks.svg", "worst.svg"]:
                with open(os.path.join(out, name), encoding="utf-8") as file:
                    pictures[-1].append(file.read())
        self.assertEqual(pictures[0], pictures[1])
        for picture in pictures[0]:
            self.assertIn("softmax regression", picture)
            self.assertIn("MLP 4", picture)
        self.assertEqual(pictures[0][2].count("no data"), 2 * 3)

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
                       {"rules": [{"rule": "krum", "g": 1}]},
                       {"rules": [{"rule": "trimmed_mean", "trim": 1}, {"rule": "trimmed_mean", "trim": 2}]},
                       {"attacks": [{"attack": "alie", "z": 1}, {"attack": "alie", "z": 2}]},
                       {"rules": [{"rule": "median", "label": 1}]}, {"seeds": [1, 1]},
                       {"f": [2, {"true": 2, "declared": 2}]},
                       {"rules": [{"rule": "bulyan", "f": "declared"}], "f": [4]}, {"rules": [{"rule": "foolsgold"}]},
                       {"rules": [{"rule": "centered_clipping"}]}, {"attacks": [{"attack": "inner_product"}]},
                       {"attacks": [{"attack": "gaussian"}]}, {"attacks": [{"attack": "alie"}], "f": [11]}]:
            with self.subTest(change=change):
                done = self.study(dict(CONFIGURATION, **change))
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertTrue(done.stderr.startswith("robustness: "))
                self.assertNotIn("trainings", done.stdout)  # refused before anything is trained
        for change, named in [({"rules": [{"rule": "bulyan", "f": "declared"}], "f": [4]}, ["bulyan", "too few clients"]),
                              ({"attacks": [{"attack": "inner_product"}]}, ["inner_product", "parameter"])]:
            for text in named:
                self.assertIn(text, self.study(dict(CONFIGURATION, **change)).stderr)
        self.assertEqual(run(arguments.program, "--nonsense").returncode, 2)
        self.assertEqual(run(arguments.program, "--help").returncode, 0)


class Kappa(unittest.TestCase):
    TRIMMED_MEAN = json.dumps({"rule": "trimmed_mean", "trim": "declared"})

    def test_bounds_hold(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "found.json")
            done = run(arguments.kappa, "--tries", "8000", "--json", path)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertNotIn("refused", done.stdout)
            self.assertNotIn("EXCEEDED", done.stdout)
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
        bounded = [line for line in found if "bound" in line]
        self.assertGreater(len(bounded), 60)
        for line in bounded:
            with self.subTest(rule=line["rule"], n=line["n"], f=line["f"]):
                # Every rule can be brought to f / (n - 2f): a search that does not find that finds nothing.
                self.assertGreaterEqual(line["worst"], 0.99 * line["least"])
                self.assertLessEqual(line["worst"], line["bound"])
                self.assertGreaterEqual(line["accepted"], 8000)
        for line in found:
            if line["rule"] == {"rule": "mean"}:
                self.assertGreater(line["worst"], 1e3)

    def test_a_bound_can_be_exceeded(self):
        for rule in [self.TRIMMED_MEAN, '{"rule": "smea", "f": "declared"}',
                     '{"chain": [{"rule": "nnm", "f": "declared"}, {"rule": "median"}]}']:
            with self.subTest(rule=rule):
                one = ["--rule", rule, "--clients", "7", "--hostile", "1", "--tries", "2000", "--bound-percent"]
                self.assertEqual(run(arguments.kappa, *one, "100").returncode, 0)
                done = run(arguments.kappa, *one, "5")
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn("EXCEEDED", done.stdout)

    def test_a_rule_is_known_however_it_is_written(self):
        for rule in ['{"rule": "trimmed_mean", "trim": 2}', '{"trim": 2.0, "rule": "trimmed_mean", "weighting": "ignored"}',
                     self.TRIMMED_MEAN]:
            done = run(arguments.kappa, "--rule", rule, "--clients", "11", "--hostile", "2", "--tries", "100")
            self.assertEqual(done.stdout.split()[-2], "2.204", done.stdout)
        done = run(arguments.kappa, "--rule", '{"rule": "trimmed_mean", "trim": 3}', "--clients", "11", "--hostile", "2",
                   "--tries", "100")
        self.assertEqual(done.stdout.split()[-2], "-", done.stdout)

    def test_nothing_accepted_is_an_error(self):
        done = run(arguments.kappa, "--rule", '{"rule": "bulyan", "f": "declared"}', "--clients", "7", "--hostile", "2",
                   "--tries", "100")
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("refused", done.stdout)

    def test_the_table_is_fresh(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../benchmarks/theory/update_table.py")
        done = run(sys.executable, script, "--check", "--kappa", arguments.kappa)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_bad_options(self):
        for options in [["--rule", "nonsense"], ["--rule", '{"rule": "nonsense"}'], ["--clients", "5"],
                        ["--clients", "4", "--hostile", "2"], ["--odd", "1"], ["--table", "--clients", "5"],
                        ["--rule", '{"chain": [{"rule": "nnm", "f": 1}, {"rule": "dnc", "f": 1, "seed": 1}]}']]:
            with self.subTest(options=options):
                done = run(arguments.kappa, *options)
                self.assertEqual(done.returncode, 2, done.stdout)
                self.assertNotEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *rest])
