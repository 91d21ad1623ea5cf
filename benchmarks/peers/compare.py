#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times fedagg's rules beside NumPy's, Flower's and ByzFL's, on the same arrays.

usage: compare.py --library FILE [--n N] [--d D] [--trim K] [--rounds R] [--only TEXT] [--skip TEXT] [--json FILE]

One thread each, in turns; times are what the process spends on a processor, so that other work on the machine counts
less; medians over the rounds. The outputs must agree within float rounding, else the
exit code is 1. The ratios to NumPy's trimmed means are held against the 40 that are expected.
benchmarks/peers/peers.sh installs the peers and calls this.
"""
import os

# Before NumPy and torch start their threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import ctypes
import json
import logging
import platform
import statistics
import sys
import time

import numpy as np

U = 2.0 ** -24  # half a unit in the last place of a float, relative
EXPECTED_OVER_NUMPY = 40.0
EXPECTED_OVER_BYZFL = 20.0  # the faster of its two back ends, for the rules below
GEOMETRIC = ("krum", "multi_krum", "nnm + median", "geometric_median", "meamed")


class Native:
    def __init__(self, path, rows):
        self.library = ctypes.CDLL(path)
        self.library.peer_isa.restype = ctypes.c_char_p
        self.n, self.d = rows.shape
        pointer = ctypes.POINTER(ctypes.c_float)
        self.rows = (pointer * self.n)(*[row.ctypes.data_as(pointer) for row in rows])
        self.out = np.zeros(self.d, np.float32)
        self.target = self.out.ctypes.data_as(pointer)

    def isa(self):
        return self.library.peer_isa().decode()

    def call(self, name, argument):
        function = getattr(self.library, name)
        code = function(self.rows, ctypes.c_size_t(self.n), ctypes.c_size_t(self.d), argument, self.target)
        if code != 0:
            sys.exit(f"{name}: error {code}")
        return self.out

    def mean(self, weights=None):
        given = None
        if weights is not None:
            given = np.ascontiguousarray(weights, np.float64).ctypes.data_as(ctypes.POINTER(ctypes.c_double))
        return self.call("peer_mean", given)

    def median(self):
        return self.call("peer_median", None)

    def trimmed_mean(self, trim):
        return self.call("peer_trimmed_mean", ctypes.c_int64(trim))

    def with_f(self, name, f):
        return self.call("peer_" + name, ctypes.c_int64(f))

    def geometric_median(self):
        return self.call("peer_geometric_median", None)


class Case:
    """One rule of ours and what others call the same; `bound` gives the largest admissible difference, or is None where
    the others' rule is another one under the same name."""

    def __init__(self, name, ours, bound):
        self.name, self.ours, self.bound, self.peers = name, ours, bound, []

    def against(self, name, function):
        self.peers.append((name, function))


# The bounds: a sum of h floats in any order is off by at most (h - 1) U sum |x|; each product, quotient or conversion
# adds a factor (1 + U); ours is rounded once. `agree` adds what products of these factors come to.
def weighted_bound(rows, weights):
    total = float(np.sum(weights))

    def bound(part):
        x = np.abs(rows[:, part].astype(np.float64))
        # Theirs: a rounded factor, a product, n - 1 sums, a quotient. Ours: one rounding.
        return (len(weights) + 3) * U * (np.asarray(weights, np.float64) @ x) / total

    return bound


def trimmed_bound(rows, trim):
    n = rows.shape[0]

    def bound(part):
        x = np.sort(rows[:, part], axis=0)[trim:n - trim].astype(np.float64)
        # Theirs: h - 1 sums and a quotient. Ours: one rounding.
        return (n - 2 * trim + 1) * U * np.mean(np.abs(x), axis=0)

    return bound


def midpoint_bound(rows):
    n = rows.shape[0]

    def bound(part):
        x = np.sort(rows[:, part], axis=0)[(n - 1) // 2:n // 2 + 1].astype(np.float64)
        # Theirs: a rounded sum and an exact half; or, as torch interpolates, a rounded difference of which half is
        # added with one more rounding. Ours: one rounding.
        return U * (2 * np.abs(np.mean(x, axis=0)) + (x[-1] - x[0]) / 2)

    return bound


def selection_bound(rows):
    n = rows.shape[0]

    def bound(part):
        # Means of some of the rows, and then, of the mixed ones, a midpoint: n + 3 roundings of at most the largest.
        return (n + 3) * U * np.max(np.abs(rows[:, part].astype(np.float64)), axis=0)

    return bound


def numpy_peers(cases, rows, weights, trim):
    n = rows.shape[0]
    factors = np.asarray(weights, np.float64) / np.sum(weights)
    acc, scaled = np.zeros_like(rows[0]), np.zeros_like(rows[0])

    def in_place():
        np.multiply(rows[0], factors[0], out=acc, casting="same_kind")
        for i in range(1, n):
            np.multiply(rows[i], factors[i], out=scaled, casting="same_kind")
            np.add(acc, scaled, out=acc)
        return acc

    cases["weighted mean"].against("numpy, in place as in Flower", in_place)
    cases["median"].against("numpy, np.median", lambda: np.median(rows, axis=0))
    cases["trimmed mean"].against("numpy, np.sort", lambda: np.mean(np.sort(rows, axis=0)[trim:n - trim], axis=0))
    cases["trimmed mean"].against(
        "numpy, np.partition",
        lambda: np.mean(np.partition(rows, (trim, n - trim - 1), axis=0)[trim:n - trim], axis=0))


def flower_peers(cases, rows, weights, trim):
    logging.disable(logging.WARNING)
    import flwr
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.server.strategy import FedAvg, FedMedian, FedTrimmedAvg
    from flwr.server.strategy.aggregate import aggregate, aggregate_median, aggregate_trimmed_avg

    n = rows.shape[0]
    results = [([row], int(w)) for row, w in zip(rows, weights)]
    # A share that int(share * n) takes back to `trim` whatever is lost in the product.
    share = (trim + 0.5) / n
    cases["weighted mean"].against("flower, aggregate", lambda: aggregate(results)[0])
    cases["median"].against("flower, aggregate_median", lambda: aggregate_median(results)[0])
    cases["trimmed mean"].against("flower, aggregate_trimmed_avg", lambda: aggregate_trimmed_avg(results, share)[0])

    # A strategy starts from what came over the wire: its time holds the unpacking of the parameters.
    arrived = [(None, FitRes(Status(Code.OK, ""), ndarrays_to_parameters([row]), int(w), {}))
               for row, w in zip(rows, weights)]

    def strategy(which):
        def run():
            parameters, _ = which.aggregate_fit(1, arrived, [])
            return parameters_to_ndarrays(parameters)[0]
        return run

    cases["weighted mean"].against("flower, FedAvg.aggregate_fit", strategy(FedAvg()))
    cases["median"].against("flower, FedMedian.aggregate_fit", strategy(FedMedian()))
    cases["trimmed mean"].against("flower, FedTrimmedAvg.aggregate_fit", strategy(FedTrimmedAvg(beta=share)))
    return f"flower {flwr.__version__}"


def byzfl_peers(cases, rows, trim):
    import byzfl
    import torch

    torch.set_num_threads(1)
    tensors = torch.from_numpy(rows)
    for name, vectors in (("numpy", rows), ("torch", tensors)):
        def bind(rule, vectors=vectors):
            return lambda: np.asarray(rule(vectors))

        cases["mean"].against(f"byzfl, Average, {name}", bind(byzfl.Average()))
        cases["median"].against(f"byzfl, Median, {name}", bind(byzfl.Median()))
        cases["trimmed mean"].against(f"byzfl, TrMean, {name}", bind(byzfl.TrMean(f=trim)))
        cases["krum"].against(f"byzfl, Krum, {name}", bind(byzfl.Krum(f=trim)))
        cases["multi_krum"].against(f"byzfl, MultiKrum, {name}", bind(byzfl.MultiKrum(f=trim)))
        cases["geometric_median"].against(f"byzfl, GeometricMedian, {name}", bind(byzfl.GeometricMedian()))
        cases["meamed"].against(f"byzfl, Meamed, {name}", bind(byzfl.Meamed(f=trim)))
        mix, median = byzfl.NNM(f=trim), byzfl.Median()
        cases["nnm + median"].against(f"byzfl, NNM and Median, {name}", bind(lambda v, mix=mix, median=median: median(mix(v))))
    return f"byzfl with torch {torch.__version__}"


def agree(case, theirs, ours, rows):
    """The largest difference as a share of what rounding allows; infinite for another shape or for NaN."""
    if case.bound is None:
        return 0.0 if theirs.shape == ours.shape and np.all(np.isfinite(theirs)) else float("inf")
    if theirs.shape != ours.shape:
        return float("inf")
    worst = 0.0
    for begin in range(0, ours.size, 1 << 18):
        part = slice(begin, begin + (1 << 18))
        difference = np.abs(theirs[part].astype(np.float64) - ours[part].astype(np.float64))
        allowed = case.bound(part) * (1 + (rows + 4) * U)
        if not np.all(np.isfinite(difference)):
            return float("inf")
        over = difference > 0
        if np.any(over):
            with np.errstate(divide="ignore"):
                worst = max(worst, float(np.max(difference[over] / allowed[over])))
    return worst


def seconds(function):
    begin = time.process_time()
    function()
    return time.process_time() - begin


def run(case, n, rounds, report):
    shares, refused = {}, []
    for name, function in case.peers:
        try:
            shares[name] = agree(case, np.asarray(function()), case.ours(), n)
        except RuntimeError as error:  # torch.quantile takes no tensor beyond some size
            refused.append(f"  {name:36} cannot: {error}")
    peers = [(name, function) for name, function in case.peers if name in shares]
    times = {name: [] for name, _ in peers}
    for _ in range(rounds):
        for name, function in peers:
            # Ours beside each of theirs, so that both see the same minute of the machine.
            times[name].append((seconds(function), seconds(case.ours)))
    if case.peers:
        print("\n".join([f"\n{case.name}", *refused]))
    for name, share in shares.items():
        mine = statistics.median(t for t, _ in times[name])
        ours = statistics.median(o for _, o in times[name])
        ratio = statistics.median(t / o for t, o in times[name])
        verdict = "agrees" if share <= 1 else "DIFFERS"
        verdict += f", {share:.2f} of the rounding allowed" if case.bound else ": another rule of this name"
        print(f"  {name:36} {mine * 1e3:10.1f} ms, fedagg {ours * 1e3:8.1f} ms: {ratio:6.1f} x   {verdict}", flush=True)
        report.append({"rule": case.name, "peer": name, "seconds": mine, "fedagg_seconds": ours, "ratio": ratio,
                       "agrees": share <= 1, "share_of_bound": share})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", required=True, help="what native.cpp was compiled to")
    parser.add_argument("--n", type=int, default=20, help="clients")
    parser.add_argument("--d", type=int, default=1000000, help="coordinates")
    parser.add_argument("--trim", type=int, help="clients trimmed from each end, a fifth of them by default")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="peers whose name contains TEXT")
    parser.add_argument("--skip", action="append", default=[], metavar="TEXT", help="not these peers")
    parser.add_argument("--json", metavar="FILE")
    arguments = parser.parse_args()
    n, d = arguments.n, arguments.d
    trim = n // 5 if arguments.trim is None else arguments.trim
    if n < 1 or d < 1 or not 0 <= 2 * trim < n:
        parser.error("needs n >= 1, d >= 1 and 0 <= 2 trim < n")

    generator = np.random.default_rng(20260101)
    rows = generator.standard_normal((n, d), dtype=np.float32)
    weights = [100 + 37 * i % 101 for i in range(n)]
    native = Native(arguments.library, rows)
    cases = {
        "weighted mean": Case("weighted mean", lambda: native.mean(weights), weighted_bound(rows, weights)),
        "mean": Case("mean", native.mean, weighted_bound(rows, [1] * n)),
        "median": Case("median", native.median, midpoint_bound(rows)),
        "trimmed mean": Case("trimmed mean", lambda: native.trimmed_mean(trim), trimmed_bound(rows, trim)),
        "krum": Case("krum", lambda: native.with_f("krum", trim), lambda part: np.zeros(rows[0, part].shape)),
        "multi_krum": Case("multi_krum", lambda: native.with_f("multi_krum", trim), selection_bound(rows)),
        "nnm + median": Case("nnm + median", lambda: native.with_f("nnm_median", trim), selection_bound(rows)),
        # ByzFL's is three smoothed steps from zero.
        "geometric_median": Case("geometric_median", native.geometric_median, None),
        "meamed": Case("meamed", lambda: native.with_f("meamed", trim), selection_bound(rows)),
    }
    versions = [f"numpy {np.__version__}"]
    numpy_peers(cases, rows, weights, trim)
    for prepare in (lambda: flower_peers(cases, rows, weights, trim), lambda: byzfl_peers(cases, rows, trim)):
        try:
            versions.append(prepare())
        except ImportError as missing:
            versions.append(f"not compared: {missing}")
    print(f"n = {n}, d = {d}, trim = {trim}, one thread each, {arguments.rounds} rounds")
    print(f"Python {platform.python_version()}, {', '.join(versions)}; fedagg on {native.isa()}")

    report = []
    for case in cases.values():
        case.peers = [p for p in case.peers if not any(text in p[0] for text in arguments.skip)
                      and (not arguments.only or any(text in p[0] for text in arguments.only))]
        run(case, n, arguments.rounds, report)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"n": n, "d": d, "trim": trim, "versions": versions, "results": report}, file, indent=1)
    over = [r for r in report if r["rule"] == "trimmed mean" and r["peer"].startswith("numpy,")]
    if over:
        print(f"\ntrimmed mean, expected >= {EXPECTED_OVER_NUMPY:.0f} x NumPy's at n = 20, d = 10^7")
    for r in over:
        print(f"  {r['peer']:36} {r['ratio']:6.1f} x   {'ok' if r['ratio'] >= EXPECTED_OVER_NUMPY else 'short'}")
    if any(r["rule"] in GEOMETRIC for r in report):
        print(f"\nexpected >= {EXPECTED_OVER_BYZFL:.0f} x the faster of ByzFL's back ends at n = 20, d = 10^6, f = 4")
    for rule in GEOMETRIC:
        ratios = [r["ratio"] for r in report if r["rule"] == rule]
        if ratios:
            print(f"  {rule:36} {min(ratios):6.1f} x   {'ok' if min(ratios) >= EXPECTED_OVER_BYZFL else 'short'}")
    sys.exit(0 if all(r["agrees"] for r in report) else 1)


if __name__ == "__main__":
    main()
