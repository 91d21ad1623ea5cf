#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times fedagg's rules beside NumPy's, Flower's and ByzFL's, on the same arrays.

usage: compare.py --library FILE [--n N] [--d D] [--trim K] [--rounds R] [--only TEXT] [--skip TEXT] [--json FILE]

One thread each, in turns; times are what the process spends on a processor, so that other work on the machine counts
less; medians over the rounds. The outputs must agree within float rounding, or ours have the lesser objective where the
other is not exact, else the exit code is 1. The ratios to NumPy's trimmed means are held against the 40 that are
expected, those to the faster of ByzFL's back ends against 20.
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
GEOMETRIC = ("krum", "multi_krum", "nnm + median", "geometric_median", "meamed", "caf")


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
    """One rule of ours and what others call the same. `bound` gives the largest admissible difference of a coordinate;
    with `objective` instead, ours must not be the larger one."""

    def __init__(self, name, ours, bound, objective=None):
        self.name, self.ours, self.bound, self.objective, self.peers = name, ours, bound, objective, []

    def against(self, name, function, alike=True):
        """`alike` is False where the other computes something else under this name, which only has to be finite."""
        self.peers.append((name, function, alike))


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


def nearest_bound(rows, kept):
    """The mean of the `kept` values nearest the median. Where the last of them and the next are as near as rounding
    tells apart, which of the two is taken is anyone's choice."""
    n = rows.shape[0]

    def bound(part):
        x = rows[:, part].astype(np.float64)
        distances = np.sort(np.abs(x - np.median(x, axis=0)), axis=0)
        largest = np.max(np.abs(x), axis=0)
        tie = distances[kept] - distances[kept - 1] <= 4 * U * largest
        return (n + 3) * U * largest + tie * 2 * distances[kept] / kept

    return bound


def sum_of_distances(rows):
    def objective(z):
        squares = np.zeros(rows.shape[0])
        for begin in range(0, z.size, 1 << 18):
            part = slice(begin, begin + (1 << 18))
            squares += np.sum((rows[:, part].astype(np.float64) - z[part].astype(np.float64)) ** 2, axis=1)
        # Each output is rounded to a float.
        return float(np.sum(np.sqrt(squares))), rows.shape[0] * U * float(np.linalg.norm(z.astype(np.float64)))

    return objective


def exact_caf(rows, f):
    """The paper's algorithm, with eigenpairs of the n x n matrix of inner products."""
    n = rows.shape[0]
    wide = rows.astype(np.float64)
    gram = wide @ wide.T
    c, least, best = np.ones(n), np.inf, None
    while np.sum(c) > n - 2 * f:
        share = c / np.sum(c)
        shift = np.eye(n) - share  # row i: x_i less the weighted mean
        centred = shift @ gram @ shift.T
        roots = np.sqrt(share)
        values, vectors = np.linalg.eigh(roots[:, None] * centred * roots)
        if values[-1] < least:
            least, best = values[-1], share
        tau = (centred @ (roots * vectors[:, -1])) ** 2
        c = c * (1 - tau / np.max(tau))
    return (best @ wide).astype(np.float32)


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
    cases["caf"].against("numpy, exact eigenpairs", lambda: exact_caf(rows, trim))


def flower_peers(cases, rows, weights, trim):
    logging.disable(logging.WARNING)
    import flwr
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays
    from flwr.server.strategy import Bulyan, FedAvg, FedMedian, FedTrimmedAvg, Krum
    from flwr.server.strategy.aggregate import (aggregate, aggregate_bulyan, aggregate_krum, aggregate_median,
                                                aggregate_trimmed_avg)

    n = rows.shape[0]
    results = [([row], int(w)) for row, w in zip(rows, weights)]
    equal = [([row], 1) for row in rows]  # Flower weighs what Multi-Krum selects
    # A share that int(share * n) takes back to `trim` whatever is lost in the product.
    share = (trim + 0.5) / n
    cases["weighted mean"].against("flower, aggregate", lambda: aggregate(results)[0])
    cases["median"].against("flower, aggregate_median", lambda: aggregate_median(results)[0])
    cases["trimmed mean"].against("flower, aggregate_trimmed_avg", lambda: aggregate_trimmed_avg(results, share)[0])

    cases["krum (flower)"].against("flower, aggregate_krum", lambda: aggregate_krum(equal, trim, 0)[0])
    cases["multi_krum (flower)"].against("flower, aggregate_krum", lambda: aggregate_krum(equal, trim, n - trim)[0])
    if n >= 4 * trim + 3:
        # It empties the list that it is given.
        cases["bulyan"].against("flower, aggregate_bulyan",
                                lambda: aggregate_bulyan(list(equal), trim, aggregate_krum, to_keep=0)[0])

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
    cases["krum (flower)"].against("flower, Krum.aggregate_fit", strategy(Krum(num_malicious_clients=trim)))
    if n >= 4 * trim + 3:
        cases["bulyan"].against("flower, Bulyan.aggregate_fit",
                                strategy(Bulyan(num_malicious_clients=trim, to_keep=0)))
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
        # One random power step instead of the top eigenvector.
        cases["caf"].against(f"byzfl, CAF, {name}", bind(byzfl.CAF(f=trim)), alike=False)
    return f"byzfl with torch {torch.__version__}"


def agree(case, theirs, ours, rows, alike):
    """How far ours and theirs differ as a share of what rounding allows, infinite for another shape or for NaN; and what
    to say of it."""
    if theirs.shape != ours.shape or not np.all(np.isfinite(theirs)):
        return float("inf"), "DIFFERS"
    if not alike:
        return 0.0, "another rule of this name"
    if case.objective:
        (mine, slack), (other, _) = case.objective(ours), case.objective(theirs)
        share = max(0.0, (mine - other) / slack)
        return share, f"objective {mine:.9g}, theirs {other:.9g}" + (": LARGER" if share > 1 else "")
    worst = 0.0
    for begin in range(0, ours.size, 1 << 18):
        part = slice(begin, begin + (1 << 18))
        difference = np.abs(theirs[part].astype(np.float64) - ours[part].astype(np.float64))
        allowed = case.bound(part) * (1 + (rows + 4) * U)
        over = difference > 0
        if np.any(over):
            with np.errstate(divide="ignore"):
                worst = max(worst, float(np.max(difference[over] / allowed[over])))
    return worst, ("agrees" if worst <= 1 else "DIFFERS") + f", {worst:.2f} of the rounding allowed"


def seconds(function):
    begin = time.process_time()
    function()
    return time.process_time() - begin


def run(case, n, rounds, report):
    shares, said, refused = {}, {}, []
    for name, function, alike in case.peers:
        try:
            shares[name], said[name] = agree(case, np.asarray(function()), case.ours(), n, alike)
        except RuntimeError as error:  # torch.quantile takes no tensor beyond some size
            refused.append(f"  {name:36} cannot: {error}")
    peers = [(name, function) for name, function, _ in case.peers if name in shares]
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
        print(f"  {name:36} {mine * 1e3:10.1f} ms, fedagg {ours * 1e3:8.1f} ms: {ratio:6.1f} x   {said[name]}", flush=True)
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

    def same(part):
        return np.zeros(rows[0, part].shape)

    cases = {
        "weighted mean": Case("weighted mean", lambda: native.mean(weights), weighted_bound(rows, weights)),
        "mean": Case("mean", native.mean, weighted_bound(rows, [1] * n)),
        "median": Case("median", native.median, midpoint_bound(rows)),
        "trimmed mean": Case("trimmed mean", lambda: native.trimmed_mean(trim), trimmed_bound(rows, trim)),
        "krum": Case("krum", lambda: native.with_f("krum", trim), same),
        "krum (flower)": Case("krum (flower)", lambda: native.with_f("flower_krum", trim), same),
        "multi_krum": Case("multi_krum", lambda: native.with_f("multi_krum", trim), selection_bound(rows)),
        "multi_krum (flower)": Case("multi_krum (flower)", lambda: native.with_f("flower_multi_krum", trim),
                                    selection_bound(rows)),
        "bulyan": Case("bulyan", lambda: native.with_f("bulyan", trim), selection_bound(rows)),
        "nnm + median": Case("nnm + median", lambda: native.with_f("nnm_median", trim), selection_bound(rows)),
        # ByzFL's is three smoothed steps from zero: the same only if it converges.
        "geometric_median": Case("geometric_median", native.geometric_median, None, sum_of_distances(rows)),
        "meamed": Case("meamed", lambda: native.with_f("meamed", trim), nearest_bound(rows, n - trim)),
        "caf": Case("caf", lambda: native.with_f("caf", trim), selection_bound(rows)),
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
    if any(r["rule"] in GEOMETRIC and r["peer"].startswith("byzfl") for r in report):
        print(f"\nexpected >= {EXPECTED_OVER_BYZFL:.0f} x the faster of ByzFL's back ends at n = 20, d = 10^6, f = 4")
    for rule in GEOMETRIC:
        ratios = [r["ratio"] for r in report if r["rule"] == rule and r["peer"].startswith("byzfl")]
        if ratios:
            print(f"  {rule:36} {min(ratios):6.1f} x   {'ok' if min(ratios) >= EXPECTED_OVER_BYZFL else 'short'}")
    sys.exit(0 if all(r["agrees"] for r in report) else 1)


if __name__ == "__main__":
    main()
