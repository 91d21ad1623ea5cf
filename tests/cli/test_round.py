#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs `fedagg round`, kills it, and compares what it does with arithmetic done here.

usage: test_round.py PROGRAM [unittest arguments]
"""
import json
import math
import os
import random
import subprocess
import time
import unittest

from test_cli import PROGRAM, Case, load, save


class Round(Case):
    """`fedagg round`: rule, optimizer, state."""

    STRATEGY = {"rule": {"rule": "mean"}, "optimizer": {"optimizer": "fed_avgm", "learning_rate": 0.5, "momentum": 0.5},
                "server": {"state": "f64"}}

    def prepare(self, strategy=None, value=1.0):
        with open(self.path("strategy.json"), "w") as file:
            json.dump(strategy or self.STRATEGY, file)
        save(self.path("g"), {"w": ("F64", [2], [value, value]), "n": ("I64", [], [10]), "b": ("BOOL", [1], [1])})

    def site(self, name, w, n=10, metadata=None):
        save(self.path(name), {"w": ("F64", [2], w), "n": ("I64", [], [n]), "b": ("BOOL", [1], [0])}, metadata)
        return self.path(name)

    def round(self, *more, files=("a", "b"), status=0, words=()):
        line = ("round", "--config", "strategy.json", "--state", "s", "--global", "g", *more, *files)
        return self.bad(status, words, *line) if status else self.good(*line)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    def write(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)

    def model(self):
        tensors, metadata = load(self.path("g"))[:2]
        return tensors["w"][2], tensors["n"][2][0], tensors["b"][2][0], metadata

    def test_momentum_goes_on_from_the_saved_state(self):
        self.prepare()
        x, v = [1.0, 1.0], [0.0, 0.0]
        for turn in range(1, 6):
            a, b = [turn * 1.0, 2.0], [turn + 2.0, -1.0]
            self.site("a", a, n=10 + turn)
            self.site("b", b, n=20)
            self.round()
            for j in range(2):
                v[j] = 0.5 * v[j] + ((a[j] + b[j]) / 2 - x[j])
                x[j] += 0.5 * v[j]
            w, n, kept, metadata = self.model()
            for got, want in zip(w, x):
                self.assertAlmostEqual(got, want, delta=1e-14 * (1 + abs(want)))
            self.assertEqual(n, round((10 + turn + 20) / 2))
            self.assertEqual(kept, 1)
            self.assertEqual(metadata["fedagg.round"], str(turn))
        self.assertFalse(os.path.exists(self.path("s.next")))

    def test_weights(self):
        self.prepare()
        self.site("a", [3, 3], metadata={"samples": "3"})
        self.site("b", [7, 7], metadata={"samples": "1"})
        self.round("--weights-from", "samples")
        self.assertEqual(self.model()[0], [2.5, 2.5])

    def test_a_refused_round_changes_nothing(self):
        self.prepare()
        self.site("a", [3, 3])
        self.site("b", [5, 5])
        self.round()
        before = self.read("g"), self.read("s")
        self.site("a", [math.nan, 3])
        self.site("b", [math.inf, 3])
        self.round(status=4)
        self.assertEqual(before, (self.read("g"), self.read("s")))
        self.assertEqual(sorted(os.listdir(self.dir)), ["a", "b", "g", "s", "strategy.json"])

    def test_a_bad_file_is_left_out_and_named(self):
        self.prepare({"rule": {"rule": "mean"}})
        self.site("a", [3, 4])
        self.site("b", [math.nan, 3])
        self.site("c", [5, 6])
        report = self.path("report")
        done = self.round("--report", report, files=("a", "b", "c"))
        self.assertIn("left out: b", done.stderr)
        self.assertEqual(self.model()[0], [4, 5])
        told = json.loads(self.read("report"))
        self.assertEqual([r["code"] for r in told["rejected"]], ["non_finite"])
        self.assertEqual(told["round"], 1)
        self.prepare({"rule": {"rule": "mean"}, "server": {"on_bad_client": "fail"}})
        os.remove(self.path("s"))
        self.round(files=("a", "b", "c"), status=3, words=["b", '"w"', "NaN"])

    SCAFFOLD = {"rule": {"rule": "mean"}, "weights": {"by": "uniform"}, "server": {"clients": 4, "state": "f64"},
                "optimizer": {"optimizer": "scaffold_server", "learning_rate": 0.5}, "client": {"algorithm": "scaffold"}}

    def scaffold_site(self, name, w, change, control="scaffold_control/w"):
        save(self.path(name), {"w": ("F64", [2], w), "n": ("I64", [], [10]), "b": ("BOOL", [1], [0]),
                               control: ("F64", [len(change)], change)})

    def test_scaffold(self):
        self.prepare(self.SCAFFOLD)
        x, c = [1.0, 1.0], [0.0, 0.0]
        for turn in range(1, 5):
            a, b, da, db = [turn * 1.0, 2.0], [turn + 2.0, -1.0], [0.5, turn * 1.0], [1.5, -1.0]
            self.scaffold_site("a", a, da)
            self.scaffold_site("b", b, db)
            self.round()
            for j in range(2):
                x[j] += 0.5 * ((a[j] + b[j]) / 2 - x[j])
                c[j] += 2 / 4 * (da[j] + db[j]) / 2
            tensors = load(self.path("g"))[0]
            for name, want in (("w", x), ("scaffold_control/w", c)):
                for got, value in zip(tensors[name][2], want):
                    self.assertAlmostEqual(got, value, delta=1e-14 * (1 + abs(value)))
            self.assertEqual(sorted(tensors), ["b", "n", "scaffold_control/w", "w"])

    def test_a_site_whose_control_is_bad_is_left_out_of_both(self):
        self.prepare(self.SCAFFOLD)
        self.scaffold_site("a", [3, 3], [1, 2])
        self.scaffold_site("b", [100, 100], [math.nan, 0])
        self.scaffold_site("c", [5, 5], [3, 4])
        done = self.round(files=("a", "b", "c"))
        self.assertIn("left out: b: tensor \"scaffold_control/w\"", done.stderr)
        tensors = load(self.path("g"))[0]
        self.assertEqual(tensors["w"][2], [2.5, 2.5])
        self.assertEqual(tensors["scaffold_control/w"][2], [1.0, 1.5])
        for change, control, words in (([1, 2, 3], "scaffold_control/w", ["shape"]), ([1, 2], "scaffold_control/v", ["missing"])):
            self.scaffold_site("b", [4, 4], change, control)
            before = self.read("g")
            done = self.round(files=("a", "b", "c"))
            for word in ["left out: b", "scaffold_control/w", *words]:
                self.assertIn(word, done.stderr)
            self.assertNotEqual(self.read("g"), before)

    def test_controls_belong_to_scaffold_and_to_their_state(self):
        self.prepare(self.SCAFFOLD)
        self.scaffold_site("a", [3, 3], [1, 2])
        self.scaffold_site("b", [4, 4], [1, 2])
        self.round()
        self.round()
        before = self.read("g")
        state = self.read("s")
        os.remove(self.path("s"))
        self.round(status=3, words=["scaffold_control/w", "missing"])
        with open(self.path("strategy.json"), "w") as file:
            json.dump(self.STRATEGY, file)
        self.write("s", state)
        self.round("--changed-strategy", status=3, words=["scaffold_control/w", "does not run SCAFFOLD"])
        self.assertEqual(self.read("g"), before)
        self.prepare(self.SCAFFOLD)
        os.remove(self.path("s"))
        self.site("a", [3, 3])  # without a control
        self.round(status=4, words=["left out: a"])

    def test_a_state_belongs_to_its_model_and_strategy(self):
        self.prepare()
        self.site("a", [3, 3])
        self.site("b", [5, 5])
        self.round()
        state = self.read("s")
        self.prepare(value=9.0)  # another model under the same name
        self.round(status=3, words=["another model"])
        os.remove(self.path("s"))
        self.prepare()
        self.round()
        self.assertEqual(self.read("s"), state)
        with open(self.path("strategy.json"), "w") as file:
            json.dump(dict(self.STRATEGY, schedule={"kind": "inverse"}), file)
        self.round(status=3, words=["--changed-strategy"])
        self.round("--changed-strategy")
        with open(self.path("strategy.json"), "w") as file:
            json.dump({"rule": {"rule": "mean"}, "optimizer": {"optimizer": "fed_adam"}}, file)
        self.round("--changed-strategy", status=3, words=["another kind"])

    def test_damaged_states_and_strategies(self):
        self.prepare()
        self.site("a", [3, 3])
        self.site("b", [5, 5])
        self.round()
        good = self.read("s")
        for at in (0, 9, len(good) // 2, len(good) - 1):
            damaged = bytearray(good)
            damaged[at] ^= 1
            self.write("s", damaged)
            self.round(status=3)
        self.write("s", good[:-3])
        self.round(status=3)
        self.write("s", good)
        for text in ("", "{", "[]", '{"rule":{"rule":"average"}}', '{"rule":{"rule":"mean"},"x":1}',
                     '{"rule":{"rule":"mean"},"optimizer":{"optimizer":"fed_adam","beta1":2}}'):
            self.write("strategy.json", text.encode())
            self.round(status=2)
        self.prepare()
        self.bad(5, ["none"], "round", "--config", "none", "--state", "s", "--global", "g", "a")
        self.bad(5, ["none"], "round", "--config", "strategy.json", "--state", "s", "--global", "none", "a")
        self.bad(2, ["--state"], "round", "--config", "strategy.json", "--state", "g", "--global", "g", "a")
        self.bad(2, ["--global", "same file"], "round", "--config", "strategy.json", "--state", "s", "--global", "g", "g")
        self.bad(2, ["same file"], "round", "--config", "strategy.json", "--state", "s", "--global", "g", "a", "a")

    def test_files_are_not_for_secure_aggregation(self):
        self.prepare({"rule": {"rule": "mean"}, "secure": {"clip": 1}})
        self.site("a", [1, 1])
        self.site("b", [2, 2])
        self.round(status=2, words=["secure aggregation", "files"])
        self.assertEqual(self.model()[0], [1.0, 1.0])

    def test_an_interrupted_commit_is_finished_or_undone(self):
        self.prepare()
        self.site("a", [3, 3])
        self.site("b", [5, 5])
        self.round()
        old = self.read("g"), self.read("s")
        self.round()
        new = self.read("g"), self.read("s")
        self.round()
        third = self.read("g"), self.read("s")

        def put(model, state, pending):
            self.write("g", model)
            self.write("s", state)
            self.write("s.next", pending)

        put(new[0], old[1], new[1])  # killed after the model was renamed: the state follows
        self.round()
        self.assertEqual(third, (self.read("g"), self.read("s")))
        put(old[0], old[1], new[1])  # killed before: the round never happened
        self.round()
        self.assertEqual(new, (self.read("g"), self.read("s")))
        self.assertFalse(os.path.exists(self.path("s.next")))

    def test_killed_anywhere_and_run_again_ends_with_the_same_bits(self):
        rng = random.Random(3)
        strategy = {"rule": {"rule": "median"}, "optimizer": {"optimizer": "fed_adam", "learning_rate": 0.05}}

        def sites(turn):
            r = random.Random(turn)
            for name in "abc":
                save(self.path(name), {"w": ("F32", [20000], [r.uniform(-1, 1) for _ in range(20000)])})

        def begin():
            with open(self.path("strategy.json"), "w") as file:
                json.dump(strategy, file)
            save(self.path("g"), {"w": ("F32", [20000], [0.0] * 20000)})

        def command():
            return [PROGRAM, "round", "--config", self.path("strategy.json"), "--state", self.path("s"), "--global",
                    self.path("g"), self.path("a"), self.path("b"), self.path("c")]

        begin()
        began = time.monotonic()
        for turn in range(6):
            sites(turn)
            subprocess.run(command(), check=True, stdout=subprocess.DEVNULL)
        each = (time.monotonic() - began) / 6
        want = self.read("g")
        os.remove(self.path("s"))
        begin()
        killed = 0
        for turn in range(6):
            sites(turn)
            while load(self.path("g"))[1] is None or int(load(self.path("g"))[1].get("fedagg.round", 0)) < turn + 1:
                process = subprocess.Popen(command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                if killed < 40:
                    time.sleep(rng.uniform(0, each))
                    killed += process.poll() is None
                    process.kill()
                process.wait()
        self.assertEqual(self.read("g"), want)
        self.assertGreater(killed, 0)


if __name__ == "__main__":
    unittest.main(verbosity=1)
