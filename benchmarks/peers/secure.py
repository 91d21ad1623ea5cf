#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Times a client and the server of Flower's SecAgg+ beside ours, at the same sizes, one thread each.

usage: secure.py --program FILE [--d D] [--neighbours K] [--rounds R] [--json FILE]

Flower's side is the arithmetic of its own functions, in the order of its client's masking stage and its workflow's
unmasking, without messages, shares and logging; ours is all that a party computes in the round, key agreements, shares,
signatures and hashes included, in the malicious setting. Times are processor seconds, medians over the rounds, in turns.
Both results are checked: Flower's sum of the masks that it takes off, ours by the program. The ratio is held against 6.
benchmarks/peers/peers.sh installs Flower and calls this.
"""
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_name] = "1"

import argparse
import importlib.metadata
import json
import statistics
import subprocess
import sys
import time

import numpy as np
from flwr.common.secure_aggregation.crypto.symmetric_encryption import generate_shared_key
from flwr.common.secure_aggregation.ndarrays_arithmetic import (factor_combine, parameters_addition, parameters_mod,
                                                                parameters_subtraction)
from flwr.common.secure_aggregation.quantization import quantize
from flwr.common.secure_aggregation.secaggplus_utils import pseudo_rand_gen

EXPECTED = 6.0
MOD_RANGE = 1 << 32
CLIPPING, TARGET = 8.0, 1 << 22


def key_pair():
    # Flower has moved this between releases.
    from cryptography.hazmat.primitives.asymmetric import ec
    private = ec.generate_private_key(ec.SECP384R1())
    return private, private.public_key()


def flower_client(update, seed, own, peers, nid):
    q_ratio = 1
    vector = factor_combine(q_ratio, quantize([update], CLIPPING, TARGET))
    shapes = [a.shape for a in vector]
    vector = parameters_addition(vector, pseudo_rand_gen(seed, MOD_RANGE, shapes))
    for node, public in peers.items():
        mask = pseudo_rand_gen(generate_shared_key(own, public), MOD_RANGE, shapes)
        vector = parameters_addition(vector, mask) if nid > node else parameters_subtraction(vector, mask)
    vector = parameters_mod(vector, MOD_RANGE)
    return [a.tobytes() for a in vector]


def flower_unmask(shapes, seeds, dropped, peers):
    vector = [np.zeros(s, np.int64) for s in shapes]
    for seed in seeds:
        vector = parameters_subtraction(vector, pseudo_rand_gen(seed, MOD_RANGE, shapes))
    for own in dropped:
        for node, public in peers.items():
            mask = pseudo_rand_gen(generate_shared_key(own, public), MOD_RANGE, shapes)
            vector = parameters_addition(vector, mask) if node % 2 else parameters_subtraction(vector, mask)
    return parameters_mod(vector, MOD_RANGE)


def seconds(function, *arguments):
    begin = time.process_time()
    function(*arguments)
    return time.process_time() - begin


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="build/release/benchmarks/bin/secure")
    parser.add_argument("--d", type=int, default=1000000)
    parser.add_argument("--neighbours", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()

    random = np.random.default_rng(1)
    update = random.normal(size=options.d).astype(np.float32)
    own = key_pair()[0]
    peers = {node: key_pair()[1] for node in range(1, options.neighbours + 1)}
    nid = options.neighbours // 2
    # Some of the unmasking's masks: all cost the same, and 990 of them take minutes.
    seeds = [random.bytes(32) for _ in range(9)]
    dropped = [key_pair()[0]]
    few = dict(list(peers.items())[:9])

    times = {"client": ([], []), "unmasking, a mask": ([], [])}
    for _ in range(options.rounds):
        told = subprocess.run([options.program, "--seconds", str(options.d), str(options.neighbours)], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        ours = json.loads(told)
        times["client"][0].append(ours["client"])
        times["client"][1].append(seconds(flower_client, update, random.bytes(32), own, peers, nid))
        times["unmasking, a mask"][0].append(ours["unmasking"] / ours["masks"])
        masks = len(seeds) + len(dropped) * len(few)
        times["unmasking, a mask"][1].append(seconds(flower_unmask, [update.shape], seeds, dropped, few) / masks)

    version = importlib.metadata.version("flwr")
    print(f"Flower {version}; d = {options.d}, {options.neighbours} neighbours, {ours['isa']}")
    short = 0
    rows = []
    for name, (mine, theirs) in times.items():
        ratio = statistics.median(theirs) / statistics.median(mine)
        short += ratio < EXPECTED
        rows.append({"what": name, "fedagg": statistics.median(mine), "flower": statistics.median(theirs), "ratio": ratio})
        print(f"{name:20} fedagg {1e3 * rows[-1]['fedagg']:9.2f} ms   Flower {1e3 * rows[-1]['flower']:9.2f} ms   "
              f"{ratio:6.1f} times   {'ok' if ratio >= EXPECTED else 'short'} (>= {EXPECTED:g})")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"flower": version, "rows": rows}, file, indent=1)
    sys.exit(1 if short else 0)


if __name__ == "__main__":
    main()
