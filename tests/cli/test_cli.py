#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the program `fedagg` and compares what it does with arithmetic done here.

usage: test_cli.py PROGRAM [unittest arguments]
"""
import array
import itertools
import json
import math
import os
import pty
import random
import shutil
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.path.abspath(sys.argv.pop(1)) if len(sys.argv) > 1 else "fedagg"
WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "I8": 1, "BOOL": 1, "F8_E4M3": 1}
CODES = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "U8": "B", "I8": "b", "BOOL": "B", "F8_E4M3": "B"}


def bf16_bits(x):
    """Nearest, ties to even, of a normal number; the rest of this file uses no other."""
    if x == 0 or math.isnan(x) or math.isinf(x):
        return struct.unpack("<I", struct.pack("<f", x))[0] >> 16
    mantissa, exponent = math.frexp(x)
    rounded = math.ldexp(round(mantissa * 256), exponent - 8)
    return struct.unpack("<I", struct.pack("<f", rounded))[0] >> 16


def pack(dtype, values):
    if dtype == "BF16":
        return struct.pack(f"<{len(values)}H", *map(bf16_bits, values))
    return struct.pack(f"<{len(values)}{CODES[dtype]}", *values)


def unpack(dtype, data):
    count = len(data) // WIDTH[dtype]
    if dtype == "BF16":
        return [struct.unpack("<f", struct.pack("<I", b << 16))[0] for b in struct.unpack(f"<{count}H", data)]
    return list(struct.unpack(f"<{count}{CODES[dtype]}", data))


def rounded(dtype, x):
    """As the type stores it; integers half to even."""
    if dtype in ("F64", "F32", "F16", "BF16"):
        return unpack(dtype, pack(dtype, [x]))[0]
    return round(x)


def save(path, tensors, metadata=None, order=None):
    """tensors: {name: (dtype, shape, values)}; `order` of the data in the file."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name in order or tensors:
        dtype, shape, values = tensors[name]
        part = pack(dtype, values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(part)]}
        data += part
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def load(path):
    with open(path, "rb") as file:
        content = file.read()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:8 + length])
    metadata = header.pop("__metadata__", None)
    data = content[8 + length:]
    return {name: (t["dtype"], t["shape"], unpack(t["dtype"], data[slice(*t["data_offsets"])]))
            for name, t in header.items()}, metadata


def save_large(path, floats, marks, metadata=None):
    """One F32 tensor that is zero, in a sparse file, except for {index: value}."""
    header = {"w": {"dtype": "F32", "shape": [floats], "data_offsets": [0, 4 * floats]}}
    if metadata is not None:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        start = file.tell()
        file.truncate(start + 4 * floats)
        for index, value in marks.items():
            file.seek(start + 4 * index)
            file.write(struct.pack("<f", value))


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="fedagg-cli-")
        self.addCleanup(shutil.rmtree, self.dir)
        self.random = random.Random(7)

    def path(self, name):
        return os.path.join(self.dir, name)

    def run_(self, *arguments, **options):
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.run([PROGRAM, *arguments], cwd=self.dir, encoding="utf-8", errors="replace",
                              stdin=subprocess.DEVNULL, timeout=120, check=False, **options)

    def good(self, *arguments):
        done = self.run_(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def bad(self, code, words, *arguments):
        """Ends with `code`, names all words in its message, and leaves no output and no temporary behind."""
        before = self.snapshot()
        done = self.run_(*arguments)
        self.assertEqual(done.returncode, code, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(self.snapshot(), before)
        return done

    def snapshot(self):
        found = {}
        for name in os.listdir(self.dir):
            with open(self.path(name), "rb") as file:
                found[name] = file.read() if os.path.getsize(self.path(name)) < 1 << 20 else file.read(1 << 20)
        return found

    def value(self):
        """Six bits: sums of a few of them are exact in every floating-point type but the last rounding."""
        return self.random.randint(-32, 31) / 16

    def model(self):
        return {
            "a.weight": ("F32", [3, 5], [self.value() for _ in range(15)]),
            "b": ("F64", [7], [self.value() for _ in range(7)]),
            "half": ("F16", [2, 2], [self.value() for _ in range(4)]),
            "brain": ("BF16", [9], [self.value() for _ in range(9)]),
            "counter": ("I64", [3], [self.random.randint(-50, 50) for _ in range(3)]),
            "small": ("U8", [2], [self.random.randint(0, 255) for _ in range(2)]),
            "scalar": ("F32", [], [self.value()]),
            "empty": ("F32", [0, 4], []),
            "mask": ("BOOL", [2], [1, 0]),
            "eighth": ("F8_E4M3", [2], [17, 99]),
        }

    def sites(self, count, metadata=True):
        models = [self.model() for _ in range(count)]
        for k, model in enumerate(models):
            order = list(model)
            self.random.shuffle(order)
            save(self.path(f"site-{k}.safetensors"), model,
                 {"num_samples": str(10 * (k + 1)), "who": f"site {k}"} if metadata else None, order)
        return models, [f"site-{k}.safetensors" for k in range(count)]

    def expect(self, models, column, out="out.safetensors"):
        """`column` gives one coordinate of the result from that of all models."""
        got, metadata = load(self.path(out))
        self.assertEqual(set(got), set(models[0]))
        for name, (dtype, shape, values) in models[0].items():
            self.assertEqual(got[name][:2], (dtype, shape), name)
            want = list(values) if dtype in ("BOOL", "F8_E4M3") else [
                rounded(dtype, column([m[name][2][j] for m in models])) for j in range(len(values))]
            self.assertEqual(got[name][2], want, name)
        return metadata


def mean(x):
    return math.fsum(x) / len(x)


def median(x):
    x = sorted(x)
    return (x[(len(x) - 1) // 2] + x[len(x) // 2]) / 2


def trimmed(k):
    return lambda x: mean(sorted(x)[k:len(x) - k])


class Results(Case):
    def test_every_rule_on_every_type(self):
        models, files = self.sites(5)
        for arguments, column in [
                (["--rule", "mean"], mean),
                (["--rule", "median"], median),
                (["--rule", "trimmed_mean", "--trim", "1"], trimmed(1)),
                (["--rule", "trimmed_mean", "--trim", "2"], trimmed(2)),
                (["--rule", "trimmed_mean", "--fraction", "0.25"], trimmed(1)),
                (["--rule", "trimmed_mean", "--fraction", ".25"], trimmed(1)),
                (["--rule-json", '{"rule": "trimmed_mean", "trim": 1}'], trimmed(1))]:
            with self.subTest(arguments=arguments):
                done = self.good("aggregate", *arguments, "-o", "out.safetensors", *files)
                metadata = self.expect(models, column)
                self.assertEqual(done.stderr, "")
                self.assertIn("of 5 files", done.stdout)
                self.assertEqual(metadata["fedagg.version"].count("."), 2)
                self.assertEqual(json.loads(metadata["fedagg.rule"])["rule"], arguments[1].split('"')[3] if "{" in arguments[1] else arguments[1])
                self.assertEqual((metadata["who"], metadata["num_samples"]), ("site 0", "10"))

    def test_an_even_number_of_files(self):
        models, files = self.sites(4)
        self.good("aggregate", "--rule", "median", "-o", "out.safetensors", *files)
        self.expect(models, median)
        self.good("aggregate", "--rule", "median", "--even", "lower", "-o", "out.safetensors", *files)
        self.expect(models, lambda x: sorted(x)[1])

    def test_weights(self):
        models, files = self.sites(3)
        weights = [10, 20, 30]

        def weighted(x):
            return math.fsum(w * v for w, v in zip(weights, x)) / sum(weights)
        for arguments in [["--weights", "10,20,30"], ["--weights-from", "num_samples"], ["--weights=1e1,20.0,30"]]:
            self.good("aggregate", "--rule", "mean", *arguments, "-o", "out.safetensors", *files)
            self.expect(models, weighted)
        # Half the weight is reached at one value exactly, or at the heaviest.
        self.good("aggregate", "--rule", "median", "--weighting", "trusted", "--weights", "2,1,2.5", "-o", "out.safetensors", *files)
        weights = [2, 1, 2.5]

        def weighted_median(x):
            reached = 0
            for v, w in sorted(zip(x, weights)):
                reached += w
                if reached > 2.75:
                    return v
        self.expect(models, weighted_median)

    def test_both_spellings_of_a_parameter(self):
        models, files = self.sites(3)
        for option in ["--weight-cap", "--weight_cap"]:
            self.good("aggregate", "--rule", "median", "--weighting", "trusted", option, "1", "--weights", "9,1,1",
                      "-o", "out.safetensors", *files)
            self.expect(models, median)

    def test_one_file_and_zero_weights(self):
        models, files = self.sites(1)
        self.good("aggregate", "--rule", "mean", "-o", "out.safetensors", *files)
        self.expect(models, mean)
        models, files = self.sites(3)
        self.good("aggregate", "--rule", "mean", "--weights", "0,1,0", "-o", "out.safetensors", *files)
        self.expect(models, lambda x: x[1])

    def test_no_tensor_at_all(self):
        for k in range(2):
            save(self.path(f"s{k}"), {}, {"only": "metadata"})
        self.good("aggregate", "--rule", "mean", "-o", "out.safetensors", "s0", "s1")
        tensors, metadata = load(self.path("out.safetensors"))
        self.assertEqual(tensors, {})
        self.assertEqual(metadata["only"], "metadata")

    def test_names_of_any_kind(self):
        tensors = {"": ("F32", [1], [1.0]), "layer \u00e9\n\"x\"": ("F32", [1], [2.0])}
        save(self.path("s0"), tensors)
        save(self.path("s1"), tensors)
        self.good("aggregate", "--rule", "mean", "-o", "out.safetensors", "s0", "s1")
        self.expect([tensors, tensors], mean)

    def test_threads_change_nothing(self):
        for k in range(3):
            save(self.path(f"s{k}"), {"w": ("F32", [300000], [self.random.gauss(0, 1) for _ in range(300000)])})
        contents = set()
        for threads in ["1", "2", "7", "0"]:
            self.good("aggregate", "--rule", "mean", "--weights", ".1,.2,.3", "--threads", threads, "-o", "out", "s0", "s1", "s2")
            with open(self.path("out"), "rb") as file:
                contents.add(file.read())
        self.assertEqual(len(contents), 1)


class Base(Case):
    def test_the_base_is_replaced_and_gives_metadata_and_kept_tensors(self):
        models, files = self.sites(3)
        base = self.model()
        base["mask"] = ("BOOL", [2], [0, 0])
        base["eighth"] = ("F8_E4M3", [2], [1, 2])
        for k in range(3):  # what no rule computes may differ where the base has it
            models[k]["mask"] = ("BOOL", [2], [k & 1, 1])
            save(self.path(files[k]), models[k])
        save(self.path("global.safetensors"), base, {"epoch": "3", "fedagg.rule": "old"})
        os.chmod(self.path("global.safetensors"), 0o640)
        self.good("aggregate", "--rule", "trimmed_mean", "--trim", "1", "--base", "global.safetensors",
                  "-o", "global.safetensors", *files)
        got, metadata = load(self.path("global.safetensors"))
        self.assertEqual(got["mask"][2], [0, 0])
        self.assertEqual(got["eighth"][2], [1, 2])
        self.assertEqual(metadata["epoch"], "3")
        self.assertEqual(json.loads(metadata["fedagg.rule"])["trim"], 1)
        self.assertEqual(stat.S_IMODE(os.stat(self.path("global.safetensors")).st_mode), 0o640)
        for m in models:
            m["mask"], m["eighth"] = base["mask"], base["eighth"]
        self.expect(models, trimmed(1), "global.safetensors")

    def test_integers_are_kept(self):
        models, files = self.sites(3)
        base = self.model()
        save(self.path("base"), base)
        self.good("aggregate", "--rule", "mean", "--integers", "keep", "--base", "base", "-o", "out.safetensors", *files)
        for m in models:
            m["counter"], m["small"] = base["counter"], base["small"]
        self.expect(models, mean)
        self.bad(2, ["--integers keep", "--base"], "aggregate", "--rule", "mean", "--integers", "keep", "-o", "x", *files)

    def test_a_base_that_does_not_match(self):
        models, files = self.sites(2)
        base = self.model()
        base["b"] = ("F64", [8], [0.0] * 8)
        save(self.path("base"), base)
        self.bad(3, ["site-0.safetensors", "site-1.safetensors", '"b"', "[7]", "[8]", "base"],
                 "aggregate", "--rule", "mean", "--base", "base", "-o", "x", *files)
        self.bad(5, ["nothing-here"], "aggregate", "--rule", "mean", "--base", "nothing-here", "-o", "x", *files)

    def test_what_cannot_be_computed_must_be_equal(self):
        models, files = self.sites(3)
        models[2]["eighth"] = ("F8_E4M3", [2], [17, 98])
        save(self.path(files[2]), models[2])
        self.bad(3, [files[2], files[0], '"eighth"', "F8_E4M3", "--base"],
                 "aggregate", "--rule", "mean", "-o", "x", *files)


class Geometry(Case):
    """Rules that compare the files with each other."""

    FLOATING = ("F64", "F32", "F16", "BF16")

    def updates(self, models, base=None):
        """The floating tensors of each model as one vector, from the base if there is one."""
        flat = []
        for m in models:
            values = []
            for name in sorted(m):
                if m[name][0] in self.FLOATING:
                    zero = base[name][2] if base else [0] * len(m[name][2])
                    values += [x - z for x, z in zip(m[name][2], zero)]
            flat.append(values)
        return flat

    @staticmethod
    def distance(x, y):
        return math.fsum((a - b) ** 2 for a, b in zip(x, y))

    def test_krum_takes_the_file_with_the_nearest_neighbours(self):
        models, files = self.sites(7)
        rows = self.updates(models)
        scores = [math.fsum(sorted(self.distance(x, y) for k, y in enumerate(rows) if k != i)[:7 - 1 - 2])
                  for i, x in enumerate(rows)]
        best = scores.index(min(scores))
        for extra in ([], ["--updates"]):
            with self.subTest(extra=extra):
                self.good("aggregate", "--rule", "krum", "--f", "1", *extra, "-o", "out.safetensors", *files)
                self.expect([models[best]], lambda x: x[0])

    def test_a_rule_that_needs_an_origin(self):
        models, files = self.sites(5)
        base = self.model()
        save(self.path("base"), base)
        rows = self.updates(models, base)
        kept = sorted(range(5), key=lambda i: math.fsum(v * v for v in rows[i]))[:4]
        self.good("aggregate", "--rule", "cge", "--f", "1", "--base", "base", "-o", "out.safetensors", *files)
        for m in models:
            m["mask"], m["eighth"] = base["mask"], base["eighth"]
        self.expect([models[i] for i in sorted(kept)], mean)
        self.bad(2, ["updates, or models with a base"], "aggregate", "--rule", "cge", "--f", "1", "-o", "x", *files)
        self.bad(2, ["--updates", "--base"], "aggregate", "--rule", "cge", "--f", "1", "--updates", "--base", "base",
                 "-o", "x", *files)

    def test_the_servers_own_row(self):
        models, files = self.sites(4)
        save(self.path("own"), models[0])
        shutil.copy(self.path("own"), self.path("root"))
        self.good("aggregate", "--rule", "fltrust", "--updates", "--trusted", "root", "-o", "out.safetensors", *files)
        self.bad(2, ["trusted"], "aggregate", "--rule", "fltrust", "--updates", "-o", "x", *files)
        self.bad(2, ["same file"], "aggregate", "--rule", "fltrust", "--updates", "--trusted", files[0], "-o", "x", *files)
        self.bad(5, ["nothing-here"], "aggregate", "--rule", "fltrust", "--updates", "--trusted", "nothing-here",
                 "-o", "x", *files)
        other = self.model()
        other["b"] = ("F64", [8], [0.0] * 8)
        save(self.path("root"), other)
        self.bad(3, ["root", '"b"'], "aggregate", "--rule", "fltrust", "--updates", "--trusted", "root", "-o", "x", *files)

    def test_impossible_parameters(self):
        _, files = self.sites(4)
        self.bad(4, ["too few", "krum", "4 of 4"], "aggregate", "--rule", "krum", "--f", "1", "-o", "x", *files)
        self.bad(2, ["krum"], "aggregate", "--rule", "krum", "-o", "x", *files)


class Mismatch(Case):
    """Each names both files and the tensor."""

    def check(self, change, words):
        models, files = self.sites(4)
        models[2] = change(models[2])
        save(self.path(files[2]), models[2])
        self.bad(3, [files[2], files[0], *words], "aggregate", "--rule", "mean", "-o", "out.safetensors", *files)
        done = self.good("aggregate", "--rule", "mean", "--on-bad-client", "reject", "--report", "r.json",
                         "-o", "out.safetensors", *files)
        for word in ["left out", files[2], *words]:
            self.assertIn(word, done.stderr)
        self.expect([models[k] for k in (0, 1, 3)], mean)
        with open(self.path("r.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual([r["file"] for r in report["rejected"]], [files[2]])
        self.assertEqual([f["used"] for f in report["files"]], [True, True, False, True])
        self.assertEqual((report["clients"], report["used"]), (4, 3))
        return report["rejected"][0]

    def test_missing(self):
        r = self.check(lambda m: {k: v for k, v in m.items() if k != "half"}, ['"half"', "missing"])
        self.assertEqual((r["tensor"], r["code"]), ("half", "client_layout"))

    def test_surplus(self):
        self.check(lambda m: {**m, "more": ("F32", [1], [0.0])}, ['"more"', "surplus"])

    def test_renamed(self):
        self.check(lambda m: {("B" if k == "b" else k): v for k, v in m.items()}, ['"b"', "missing"])

    def test_dtype(self):
        self.check(lambda m: {**m, "half": ("BF16", [2, 2], [0.0] * 4)}, ['"half"', "BF16", "F16"])

    def test_shape(self):
        self.check(lambda m: {**m, "a.weight": ("F32", [5, 3], [0.0] * 15)}, ['"a.weight"', "[5, 3]", "[3, 5]"])

    def test_rank(self):
        self.check(lambda m: {**m, "scalar": ("F32", [1], [0.0])}, ['"scalar"', "[1]", "[]"])

    def test_a_bad_first_file_does_not_decide(self):
        models, files = self.sites(4)
        models[0] = {"other": ("F32", [1], [0.0])}
        save(self.path(files[0]), models[0], {"who": "the bad one"})
        done = self.good("aggregate", "--rule", "median", "--on-bad-client", "reject", "-o", "out.safetensors", *files)
        self.assertIn(files[0], done.stderr)
        metadata = self.expect(models[1:], median)
        self.assertEqual(metadata["who"], "site 1")


class BadClients(Case):
    def broken(self, value=math.nan, tensor="brain"):
        models, files = self.sites(4)
        dtype, shape, values = models[1][tensor]
        models[1][tensor] = (dtype, shape, values[:-1] + [value])
        save(self.path(files[1]), models[1])
        return models, files

    def test_fail_is_the_default(self):
        for value, tensor in itertools.product([math.nan, math.inf, -math.inf], ["a.weight", "b", "half", "brain", "scalar"]):
            _, files = self.broken(value, tensor)
            save(self.path("old"), {})
            self.bad(3, [files[1], f'"{tensor}"', "NaN or Inf"], "aggregate", "--rule", "median", "-o", "old", *files)

    def test_all_bad_files_are_named(self):
        models, files = self.broken()
        models[3]["b"] = ("F64", [7], [math.inf] * 7)
        save(self.path(files[3]), models[3])
        self.bad(3, [files[1], '"brain"', files[3], '"b"'], "aggregate", "--rule", "mean", "-o", "x", *files)

    def test_reject(self):
        models, files = self.broken()
        done = self.good("aggregate", "--rule", "trimmed_mean", "--trim", "1", "--on-bad-client", "reject",
                         "--report", "r.json", "-o", "out.safetensors", *files)
        self.assertIn(f'left out: {files[1]}: tensor "brain": NaN or Inf', done.stderr)
        self.assertIn("1 left out", done.stdout)
        self.expect([models[k] for k in (0, 2, 3)], trimmed(1))
        with open(self.path("r.json"), encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(report["passes"], 2)
        self.assertEqual([(r["file"], r["tensor"], r["code"]) for r in report["rejected"]], [(files[1], "brain", "non_finite")])

    def test_weights_follow_their_files(self):
        models, files = self.broken()
        self.good("aggregate", "--rule", "mean", "--weights", "1,100,2,5", "--on-bad-client", "reject", "-o", "out.safetensors", *files)
        self.expect([models[k] for k in (0, 2, 3)], lambda x: (x[0] + 2 * x[1] + 5 * x[2]) / 8)

    def test_propagate(self):
        models, files = self.broken()
        self.good("aggregate", "--rule", "mean", "--on-bad-client", "propagate", "-o", "out.safetensors", *files)
        got, _ = load(self.path("out.safetensors"))
        self.assertTrue(math.isnan(got["brain"][2][-1]))
        self.assertEqual(got["brain"][2][0], rounded("BF16", mean([m["brain"][2][0] for m in models])))
        self.bad(2, ["propagate", "median"], "aggregate", "--rule", "median", "--on-bad-client", "propagate", "-o", "x", *files)

    def test_too_many(self):
        models, files = self.broken()
        save(self.path(files[0]), {})
        save(self.path(files[2]), {**models[2], "b": ("F64", [7], [math.inf] * 7)})
        save(self.path("old"), {})
        words = [files[0], files[1], files[2], "1 of 4 files left", "trimmed_mean"]
        self.bad(4, words, "aggregate", "--rule", "trimmed_mean", "--trim", "1", "--on-bad-client", "reject", "-o", "old", *files)
        self.bad(4, ["1 of 4 files left"], "aggregate", "--rule", "mean", "--on-bad-client", "reject", "-o", "old", *files)

    def test_the_rules_own_condition(self):
        _, files = self.sites(4)
        self.bad(4, ["too few clients", "trimmed_mean"], "aggregate", "--rule", "trimmed_mean", "--trim", "2", "-o", "x", *files)
        self.bad(4, ["half the weight"], "aggregate", "--rule", "median", "--weighting", "trusted", "--weights", "1,1,1,9", "-o", "x", *files)

    def test_integers_beyond_doubles(self):
        for k, value in enumerate([1, 2 ** 53 + 2, 3]):
            save(self.path(f"s{k}"), {"n": ("I64", [1], [value])})
        self.bad(3, ["s1", '"n"', "2^53"], "aggregate", "--rule", "mean", "-o", "x", "s0", "s1", "s2")

    def test_malformed_files(self):
        models, files = self.sites(4)
        with open(self.path(files[2]), "rb") as file:
            content = file.read()
        for broken in [content[:-1], content[:20], b"", content + b"x", b"\xff" * 40, os.urandom(500)]:
            with open(self.path(files[2]), "wb") as file:
                file.write(broken)
            self.bad(3, [files[2]], "aggregate", "--rule", "mean", "-o", "x", *files)
            done = self.good("aggregate", "--rule", "mean", "--on-bad-client", "reject", "-o", "out.safetensors", *files)
            self.assertIn("left out: " + files[2], done.stderr)
            self.expect([models[k] for k in (0, 1, 3)], mean)

    def test_names_cannot_write_to_the_terminal(self):
        save(self.path("s0"), {"x": ("F32", [1], [0.0])})
        save(self.path("s1"), {"\x1b]0;evil\x07\u009b2J": ("F32", [1], [0.0])}, {"\x1b[2J": "\x1b[31m"})
        done = self.run_("aggregate", "--rule", "mean", "-o", "x", "s0", "s1")
        self.assertEqual(done.returncode, 3)
        shown = done.stderr + self.good("inspect", "s0", "s1").stdout
        for control in "\x1b\x07\u009b":
            self.assertNotIn(control, shown)


class Weights(Case):
    def test_bad_weights_on_the_command_line(self):
        _, files = self.sites(3)
        for weights, words in [("1,2", ["2 values for 3 files"]), ("1,2,3,4", ["4 values for 3 files"]),
                               ("1,-2,3", ['"-2"', files[1]]), ("1,2,nan", ['"nan"', files[2]]),
                               ("inf,2,3", ['"inf"', files[0]]), ("1,,3", ['""', files[1]]), ("1,2x,3", ['"2x"', files[1]]),
                               ("0,0,0", ["all of them are zero"]), ("1, 2,3", ['" 2"'])]:
            self.bad(2, ["--weights", *words], "aggregate", "--rule", "mean", "--weights", weights, "-o", "x", *files)
        self.bad(2, ["weights-from"], "aggregate", "--rule", "mean", "--weights", "1,2,3", "--weights-from", "n", "-o", "x", *files)

    def test_bad_weights_in_the_metadata(self):
        models, files = self.sites(4)
        for value in [None, "", "many", "-1", "nan", "inf", "1e999", "12 "]:
            save(self.path(files[2]), models[2], None if value is None else {"num_samples": value})
            self.bad(3, [files[2], "num_samples", "weight"],
                     "aggregate", "--rule", "mean", "--weights-from", "num_samples", "-o", "x", *files)
        done = self.good("aggregate", "--rule", "mean", "--weights-from", "num_samples", "--on-bad-client", "reject",
                         "--report", "r.json", "-o", "out.safetensors", *files)
        self.assertIn("left out: " + files[2], done.stderr)
        self.expect([models[k] for k in (0, 1, 3)], lambda x: (10 * x[0] + 20 * x[1] + 40 * x[2]) / 70)
        with open(self.path("r.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["rejected"][0]["code"], "invalid_weight")
        for k in range(4):
            save(self.path(files[k]), models[k], {"num_samples": "0"})
        self.bad(4, ["weights sum to zero"], "aggregate", "--rule", "mean", "--weights-from", "num_samples", "-o", "x", *files)

    def test_weights_are_not_ignored_in_silence(self):
        models, files = self.sites(3)
        for rule in [["median"], ["trimmed_mean", "--trim", "1"]]:
            done = self.good("aggregate", "--rule", *rule, "--weights", "1,2,3", "-o", "out.safetensors", *files)
            self.assertIn(f"{rule[0]} ignores the weights", done.stderr)
            self.expect(models, median)
            done = self.good("aggregate", "--rule", *rule, "--weighting", "trusted", "--weights", "2,2,2", "-o", "out.safetensors", *files)
            self.assertEqual(done.stderr, "")


class Usage(Case):
    def test_wrong_command_lines(self):
        _, files = self.sites(3)
        out = ["-o", "x"]
        for arguments, words in [
                ([], ["subcommand"]),
                (["fly"], ["fly"]),
                (["aggregate"], ["required"]),
                (["aggregate", "--rule", "mean", *files], ["--output"]),
                (["aggregate", "--rule", "mean", *out], ["files"]),
                (["aggregate", *out, *files], ["--rule", "mda, meamed, mean, median, monna"]),
                (["aggregate", "--rule", "crumb", *out, *files], ["no rule of this name", "crumb", "median"]),
                (["aggregate", "--rule", "mean", "--trim", "1", *out, *files], ["mean", "trim"]),
                (["aggregate", "--rule", "median", "--even", "upper", *out, *files], ["median", "even", "upper", "lower"]),
                (["aggregate", "--rule", "trimmed_mean", *out, *files], ["do not go together"]),
                (["aggregate", "--rule", "trimmed_mean", "--trim", "1", "--fraction", ".1", *out, *files], ["do not go together"]),
                (["aggregate", "--rule", "trimmed_mean", "--fraction", "0.5", *out, *files], ["do not go together"]),
                (["aggregate", "--rule", "trimmed_mean", "--mass", "0.2", *out, *files], ["do not go together"]),
                (["aggregate", "--rule", "trimmed_mean", "--trim", "1.5", *out, *files], ["trim", "1.5", "whole number"]),
                (["aggregate", "--rule", "trimmed_mean", "--trim", "-1", *out, *files], ["trim", "-1"]),
                (["aggregate", "--rule", "trimmed_mean", "--trim", "one", *out, *files], ["trim", "one"]),
                (["aggregate", "--rule", "trimmed_mean", "--fraction", "nan", *out, *files], ["fraction"]),
                (["aggregate", "--rule-json", "{", *out, *files], ["--rule-json", "not valid JSON"]),
                (["aggregate", "--rule-json", '{"rule":"median","evn":1}', *out, *files], ["evn", "median"]),
                (["aggregate", "--rule-json", '{"rule":"trimmed_mean","trim":1,"trim":2}', *out, *files], ["twice"]),
                (["aggregate", "--rule-json", '{"rule":"mean"}', "--rule", "mean", *out, *files], ["--rule"]),
                (["aggregate", "--rule-json", '{"rule":"trimmed_mean"}', "--trim", "1", *out, *files], ["--trim"]),
                (["aggregate", "--rule", "mean", "--on-bad-client", "shrug", *out, *files], ["shrug"]),
                (["aggregate", "--rule", "mean", "--threads", "-1", *out, *files], ["--threads"]),
                (["aggregate", "--rule", "mean", "--threads", "9999", *out, *files], ["--threads"]),
                (["aggregate", "--rule", "mean", "--unknown", *out, *files], ["--unknown"]),
                (["inspect"], ["required"])]:
            with self.subTest(arguments=arguments):
                self.bad(2, words, *arguments)

    def test_a_file_counts_once(self):
        _, files = self.sites(3)
        os.symlink(files[0], self.path("alias"))
        os.link(self.path(files[0]), self.path("twin"))
        save(self.path("base"), self.model())
        for again in [files[0], "./" + files[0], "alias", "twin"]:
            self.bad(2, [files[0], again, "same file"], "aggregate", "--rule", "mean", "-o", "x", *files, again)
        self.bad(2, ["--base", "same file"], "aggregate", "--rule", "mean", "--base", "alias", "-o", "x", *files)
        for out in [files[1], "./" + files[1], "alias"]:
            self.bad(2, ["output", out], "aggregate", "--rule", "mean", "-o", out, *files)
        for report in [files[1], "x", "base"]:
            self.bad(2, ["--report"], "aggregate", "--rule", "mean", "--base", "base", "-o", "x", "--report", report, *files)

    def test_files_that_cannot_be_read_or_written(self):
        _, files = self.sites(2)
        reject = ["--on-bad-client", "reject"]
        self.bad(5, ["nothing-here"], "aggregate", "--rule", "mean", *reject, "-o", "x", *files, "nothing-here")
        self.bad(5, ["no/such/folder/x"], "aggregate", "--rule", "mean", "-o", "no/such/folder/x", *files)
        done = self.run_("aggregate", "--rule", "mean", *reject, "-o", "x", *files, ".")
        self.assertEqual(done.returncode, 5)
        self.assertIn("directory", done.stderr)
        done = self.run_("aggregate", "--rule", "mean", "--report", "no/such/folder/r.json", "-o", "x", *files)
        self.assertEqual(done.returncode, 5)
        self.assertEqual(self.run_("aggregate", "--rule", "mean", "-o", ".", *files).returncode, 5)

    def test_a_full_standard_output(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("needs /dev/full")
        with open("/dev/full", "w", encoding="utf-8") as full:
            self.assertEqual(self.run_("rules", stdout=full).returncode, 5)

    def test_help(self):
        everywhere = ["Exit codes", "128+"]
        for arguments, words in [
                (["--help"], ["aggregate", "inspect", "rules"]),
                (["aggregate", "--help"], ["--rule", "--rule-json", "--trim", "--fraction", "--mass", "--even", "--weighting",
                                           "--weight-cap", "--weight_cap", "--base", "--weights", "--weights-from",
                                           "--on-bad-client", "--integers", "--threads", "--report", "--output", "Examples",
                                           "site-*.safetensors", "clients dropped from each end", "fedagg.rule"]),
                (["inspect", "--help"], ["--json", "--no-distances", "Examples"]),
                (["rules", "--help"], ["--json", "Examples"])]:
            done = self.good(*arguments)
            for word in words + everywhere:
                self.assertIn(word, done.stdout)
            self.assertEqual(done.stderr, "")
        self.assertRegex(self.good("--version").stdout, r"^fedagg \d+\.\d+\.\d+\n$")

    def test_the_examples_of_the_help_work(self):
        _, files = self.sites(5)
        save(self.path("global.safetensors"), self.model())
        shown = self.good("aggregate", "--help").stdout
        lines = [line.strip() for line in shown.splitlines() if line.startswith("  fedagg aggregate")]
        self.assertEqual(len(lines), 5)
        for line in lines:
            line = line.replace("120,80,200", "120,80,200,5,6")
            done = subprocess.run(["bash", "-c", line.replace("fedagg", f'"{PROGRAM}"', 1)], cwd=self.dir, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
            self.assertEqual(done.returncode, 0, (line, done.stderr))


class Atomic(Case):
    FLOATS = 24 << 20

    def large(self):
        for k in range(3):
            save_large(self.path(f"s{k}"), self.FLOATS, {0: k + 1.0, self.FLOATS - 1: 2.0 * k})
        save(self.path("out"), {"old": ("F32", [1], [4.0])})
        with open(self.path("out"), "rb") as file:
            self.old = file.read()

    def temporaries(self, process=None):
        """The unfinished outputs; those without a name only while the process lives."""
        found = [name for name in os.listdir(self.dir) if name.endswith(".tmp")]
        try:
            descriptors = f"/proc/{process.pid}/fd" if process else None
            for entry in os.listdir(descriptors) if descriptors else []:
                target = os.readlink(os.path.join(descriptors, entry))
                if target.startswith(os.path.join(os.path.realpath(self.dir), "#")) and target.endswith(" (deleted)"):
                    found.append(target)
        except OSError:
            pass  # it has ended
        return found

    def stopped(self, number):
        """The exit status after a signal that arrives while the output is being written."""
        for _ in range(10):
            with subprocess.Popen([PROGRAM, "aggregate", "--rule", "median", "--threads", "1", "-o", "out", "s0", "s1", "s2"],
                                  cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                while not self.temporaries(process) and process.poll() is None:
                    time.sleep(0.0005)
                process.send_signal(number)
                error = process.communicate(timeout=60)[1]
            if process.returncode != 0:
                return process.returncode, error
            # It was faster than the signal: once more.
            with open(self.path("out"), "wb") as file:
                file.write(self.old)
        self.fail("the program is never caught at work")

    def test_killed_half_way(self):
        self.large()
        self.assertEqual(self.stopped(signal.SIGKILL)[0], -signal.SIGKILL)
        with open(self.path("out"), "rb") as file:
            self.assertEqual(file.read(), self.old)
        # What a killed program leaves behind is hidden, and in nobody's way.
        self.assertTrue(all(name.startswith(".fedagg-") for name in self.temporaries()))
        self.good("aggregate", "--rule", "median", "-o", "out", "s0", "s1", "s2")
        with open(self.path("out"), "rb") as file:
            file.seek(-4, os.SEEK_END)
            self.assertEqual(struct.unpack("<f", file.read())[0], 2.0)

    def test_interrupted(self):
        self.large()
        for number in (signal.SIGINT, signal.SIGTERM):
            status, error = self.stopped(number)
            self.assertEqual(status, 128 + number)
            self.assertIn(b"interrupted", error)
            self.assertEqual(self.temporaries(), [])
            with open(self.path("out"), "rb") as file:
                self.assertEqual(file.read(), self.old)

    def test_memory_beyond_the_maps(self):
        self.large()
        self.good("aggregate", "--rule", "trimmed_mean", "--trim", "1", "--threads", "2", "--report", "r.json",
                  "-o", "out", "s0", "s1", "s2")
        with open(self.path("r.json"), encoding="utf-8") as file:
            report = json.load(file)
        if report["rss_anon_bytes"] is None:
            self.skipTest("the system does not tell")
        # Three maps of 100 MB and an output of 100 MB: one of them in memory of its own would be seen.
        self.assertGreater(report["rss_anon_bytes"], 0)
        self.assertLess(report["rss_anon_bytes"], 90e6)

    def test_an_old_output_survives_a_failure(self):
        save(self.path("s0"), {"w": ("F32", [2], [1.0, 2.0])})
        save(self.path("s1"), {"w": ("F32", [2], [1.0, math.nan])})
        save(self.path("out"), {"old": ("F32", [1], [4.0])})
        self.bad(3, ["s1", '"w"'], "aggregate", "--rule", "mean", "-o", "out", "s0", "s1")

    def test_a_mean_of_the_largest_values_does_not_overflow(self):
        largest = {"F32": (2 - 2 ** -23) * 2.0 ** 127, "F16": 65504.0, "F64": sys.float_info.max}
        model = {dtype: (dtype, [2], [x, -x]) for dtype, x in largest.items()}
        for k in range(3):
            save(self.path(f"s{k}"), model)
        self.good("aggregate", "--rule", "mean", "-o", "out", "s0", "s1", "s2")
        self.assertEqual(load(self.path("out"))[0], {name: (d, s, v) for name, (d, s, v) in model.items()})


class Terminal(Case):
    def on_a_terminal(self, *arguments):
        """The exit status and all that comes to a terminal on the standard error."""
        leader, follower = pty.openpty()
        with subprocess.Popen([PROGRAM, *arguments], cwd=self.dir, stdout=subprocess.PIPE, stderr=follower) as process:
            os.close(follower)
            shown = b""
            while True:
                try:
                    part = os.read(leader, 65536)
                except OSError:  # Linux: nobody writes any more
                    part = b""
                if not part:
                    break
                shown += part
            output = process.communicate(timeout=60)[0]
        os.close(leader)
        return process.returncode, shown, output

    def test_a_bar_on_a_terminal_and_none_in_a_pipe(self):
        _, files = self.sites(3)
        arguments = ["aggregate", "--rule", "mean", "-o", "out", *files]
        status, shown, output = self.on_a_terminal(*arguments)
        self.assertEqual(status, 0)
        self.assertIn(b"aggregating [", shown)
        self.assertIn(b" %", shown)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)
        self.assertIn(b"of 3 files", output)
        self.assertEqual(self.good(*arguments).stderr, "")

    def test_a_message_stands_on_a_line_of_its_own(self):
        _, files = self.sites(3)
        save(self.path(files[1]), {})
        status, shown, _ = self.on_a_terminal("aggregate", "--rule", "mean", "-o", "out", *files)
        self.assertEqual(status, 3)
        self.assertIn(b"\r\x1b[Kfedagg: " + files[1].encode(), shown)


class Report(Case):
    def report(self, *arguments, code=0):
        done = self.run_("aggregate", *arguments, "--report", "r.json", "-o", "out.safetensors")
        self.assertEqual(done.returncode, code, done.stderr)
        with open(self.path("r.json"), encoding="utf-8") as file:
            return json.load(file)

    def test_a_round(self):
        _, files = self.sites(5)
        r = self.report("--rule", "trimmed_mean", "--trim", "2", "--threads", "2", *files)
        self.assertTrue(r["ok"])
        self.assertIsNone(r["error"])
        self.assertEqual(r["rule"], {"rule": "trimmed_mean", "trim": 2, "weighting": "ignored", "weight_cap": 0.0})
        self.assertEqual([f["file"] for f in r["files"]], files)
        self.assertEqual([f["weight"] for f in r["files"]], [1.0] * 5)
        self.assertEqual(r["rejected"], [])
        self.assertEqual((r["passes"], r["threads"], r["clients"], r["used"]), (1, 2, 5, 5))
        self.assertGreaterEqual(r["seconds"], 0)
        self.assertGreater(r["bytes_per_second"], 0)
        self.assertIn(r["isa"], ["baseline", "avx2", "avx512", "neon"])
        self.assertEqual(r["breakdown"], {"clients": 2, "mass": None})
        self.assertEqual(r["tensors"], {"aggregated": 8, "kept": r["tensors"]["kept"]})
        self.assertEqual(sorted(r["tensors"]["kept"]), ["eighth", "mask"])
        self.assertEqual(r["output"], "out.safetensors")

    def test_weights(self):
        _, files = self.sites(4)
        r = self.report("--rule", "mean", "--weights-from", "num_samples", *files)
        self.assertEqual(r["weights"], {"from": "metadata num_samples", "used": True})
        self.assertEqual([f["weight"] for f in r["files"]], [10, 20, 30, 40])
        for f, share in zip(r["files"], [0.1, 0.2, 0.3, 0.4]):
            # Three roundings: the scaled weight is exact, their sum and the quotient are rounded, so is the decimal here.
            self.assertLess(abs(f["coefficient"] - share), 4 * 2 ** -53)
        r = self.report("--rule", "median", "--weighting", "trusted", "--weights", "1,2,3,3", *files)
        self.assertTrue(r["weights"]["used"])
        self.assertEqual(r["breakdown"]["mass"], 0.5)

    def test_a_refused_round(self):
        models, files = self.sites(4)
        save(self.path(files[3]), {})
        r = self.report("--rule", "trimmed_mean", "--trim", "1", "--on-bad-client", "reject", *files[2:], code=4)
        self.assertFalse(r["ok"])
        self.assertEqual(r["error"]["code"], "too_few_clients")
        self.assertEqual(r["rejected"][0]["file"], files[3])
        self.assertEqual(r["used"], 0)
        models[1]["b"] = ("F64", [7], [math.inf] * 7)
        save(self.path(files[1]), models[1])
        r = self.report("--rule", "mean", *files[:3], code=3)
        self.assertEqual((r["error"]["code"], r["rejected"][0]["tensor"]), ("non_finite", "b"))
        self.assertFalse(os.path.exists(self.path("out.safetensors")))

    def test_to_the_standard_output(self):
        _, files = self.sites(3)
        done = self.good("aggregate", "--rule", "mean", "--report", "-", "-o", "out", *files)
        self.assertTrue(json.loads(done.stdout)["ok"])

    def test_a_name_that_is_no_text(self):
        for k in range(2):
            save(os.path.join(os.fsencode(self.dir), b"s\xff%d" % k), {"w": ("F32", [1], [1.0])})
        done = subprocess.run([PROGRAM, "aggregate", "--rule", "mean", "--report", "r.json", "-o", "out", b"s\xff0", b"s\xff1"],
                              cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("r.json"), encoding="utf-8") as file:
            self.assertEqual(len(json.load(file)["files"]), 2)


class Inspect(Case):
    def test_json(self):
        a = {"w": ("F32", [2, 2], [3.0, 4.0, 0.0, 0.0]), "n": ("I64", [2], [6, 8]), "h": ("F16", [2], [12.0, math.nan]),
             "e": ("F64", [0], []), "m": ("BOOL", [2], [1, 0]), "s": ("BF16", [], [2.0])}
        b = {"w": ("F32", [2, 2], [3.0, 1.0, 4.0, 0.0]), "n": ("I64", [2], [60, 80]), "h": ("F16", [2], [12.0, 5.0]),
             "e": ("F64", [0], []), "m": ("BOOL", [2], [1, 0]), "s": ("BF16", [], [2.0])}
        c = {**b, "w": ("F32", [2, 2], [3.0, 1.0, 4.0, 12.0])}
        d = {**b, "s": ("BF16", [1], [2.0])}
        for name, model in zip("abcd", (a, b, c, d)):
            save(self.path(name), model, {"k": name})
        j = json.loads(self.good("inspect", "--json", *"abcd").stdout)
        first = j["files"][0]
        self.assertEqual(first["file"], "a")
        self.assertEqual(first["metadata"], {"k": "a"})
        tensors = {t["name"]: t for t in first["tensors"]}
        self.assertEqual(tensors["w"], {"name": "w", "dtype": "F32", "shape": [2, 2], "elements": 4, "norm": 5.0, "non_finite": 0})
        self.assertEqual((tensors["n"]["norm"], tensors["h"]["norm"], tensors["h"]["non_finite"]), (10.0, 12.0, 1))
        self.assertEqual((tensors["e"]["elements"], tensors["s"]["elements"], tensors["s"]["shape"]), (0, 1, []))
        self.assertIsNone(tensors["m"]["norm"])
        self.assertEqual(first["norm"], math.sqrt(25 + 144 + 4))
        self.assertEqual((first["non_finite"], first["elements"], first["bytes"]), (1, 11, 16 + 16 + 4 + 2 + 2))
        pairs = {"".join(p["files"]): p for p in j["distances"]}
        self.assertEqual(sorted(pairs), ["ab", "ac", "ad", "bc", "bd", "cd"])
        self.assertEqual(pairs["bc"]["distance"], 12.0)
        self.assertIsNone(pairs["ab"]["distance"])
        self.assertIn("NaN", pairs["ab"]["why"])
        self.assertIn('"s"', pairs["bd"]["why"])
        self.assertEqual(json.loads(self.good("inspect", "--json", "--no-distances", "b", "c").stdout)["distances"], [])

    def test_text(self):
        save(self.path("a"), {"layer.w": ("F32", [3], [1.0, 2.0, 2.0])}, {"who": "north"})
        save(self.path("b"), {"layer.w": ("F32", [3], [1.0, 2.0, math.inf])})
        save(self.path("c"), {"layer.w": ("F32", [3], [1.0, 2.0, 2.5])})
        shown = self.good("inspect", "a", "b", "c").stdout
        for word in ["layer.w", "F32", "[3]", "who: north", "norm 3", "1 NaN/Inf", "0.5"]:
            self.assertIn(word, shown)

    def test_norms_neither_overflow_nor_vanish(self):
        for values, want in [([3e200, 4e200], 5e200), ([3e-200, 4e-200], 5e-200), ([3e160, 4e160, 1e-300], 5e160)]:
            save(self.path("a"), {"w": ("F64", [len(values)], values)})
            got = json.loads(self.good("inspect", "--json", "a").stdout)["files"][0]["norm"]
            # Squares, sum and root: five roundings, and the literals' own.
            self.assertLess(abs(got / want - 1), 8 * 2 ** -53)

    def test_bad_files_are_passed_over(self):
        save(self.path("a"), {"w": ("F32", [1], [1.0])})
        with open(self.path("b"), "wb") as file:
            file.write(b"junk junk junk junk")
        done = self.run_("inspect", "b", "a")
        self.assertEqual(done.returncode, 3)
        self.assertIn("b: ", done.stderr)
        self.assertIn("a: 1 tensors", done.stdout)
        self.assertEqual(self.run_("inspect", "b", "nothing").returncode, 5)


class Rules(Case):
    def test_listing(self):
        shown = self.good("rules").stdout
        for word in ["mean\n", "median\n", "trimmed_mean\n", "--trim", "--weight-cap", "clients dropped from each end",
                     "one of midpoint, lower", "from 0 to 0.5", "default: not given", "default: ignored"]:
            self.assertIn(word, shown)

    def test_json(self):
        rules = {r["rule"]: {p["name"]: p for p in r["parameters"]} for r in json.loads(self.good("rules", "--json").stdout)}
        self.assertEqual(rules["mean"], {})
        self.assertEqual(rules["median"]["even"]["values"], ["midpoint", "lower"])
        self.assertEqual(rules["median"]["even"]["default"], "midpoint")
        trim = rules["trimmed_mean"]["trim"]
        self.assertEqual((trim["type"], trim["low"], trim["high"], trim["default"]), ("integer", 0.0, None, None))
        self.assertTrue(trim["about"])


if __name__ == "__main__":
    unittest.main(verbosity=1)
