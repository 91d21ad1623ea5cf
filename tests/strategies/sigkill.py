#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nothing is lost when a server is killed: server.cpp is killed with SIGKILL again and again, restarted each time, and
ends with the same bytes as a run that nobody disturbed. And the test can fail: what is not restored, and what is not
written atomically, is noticed.

usage: sigkill.py --server PROGRAM [--seed N] [--kills N]
"""
import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("--server", required=True)
parser.add_argument("--seed", type=int, default=20261126)
parser.add_argument("--kills", type=int, default=60)
arguments, rest = parser.parse_known_args()

COMMITS = 300  # 50 rounds of five clients and a step


def read(path):
    with open(path, "rb") as file:
        return file.read()


class Server:
    """A run of the program, from the state that is there."""

    def __init__(self, path, *options):
        self.last = b""
        self.process = subprocess.Popen([arguments.server, path, *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, bufsize=0)

    def events(self, count, kinds):
        """Waits until it has said one of `kinds` for the `count`-th time; False if it ends before."""
        while count > 0:
            byte = self.process.stdout.read(1)
            if not byte:
                return False
            self.last = byte
            count -= byte in kinds
        return True

    def kill(self):
        """False if it had ended by itself. `last` is what it said last."""
        self.process.send_signal(signal.SIGKILL)
        self.last = self.process.stdout.readall()[-1:] or self.last
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.wait() == -signal.SIGKILL

    def finish(self):
        """(exit code, commits, errors)."""
        out, err = self.process.communicate()
        return self.process.returncode, out.count(b"c"), err.decode()


class Killed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # Memory where there is some: a disk has nothing to do with it, and is slow to flush.
        shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        cls.folder = tempfile.mkdtemp(prefix="fedagg-sigkill-", dir=shared)
        path = cls.path("undisturbed")
        code, commits, err = Server(path).finish()
        assert (code, commits, err) == (0, COMMITS, ""), (code, commits, err)
        cls.end = read(path)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def path(cls, name):
        os.makedirs(os.path.join(cls.folder, name), exist_ok=True)
        return os.path.join(cls.folder, name, "state.safetensors")

    def test_ends_with_the_same_bytes(self):
        chance = random.Random(arguments.seed)
        path = self.path("killed")
        kills = lives = writing = 0
        most = max(1, 2 * COMMITS // arguments.kills - 2)
        # A few commits apart; from the beginning again where a run comes to its end, until enough were killed, a
        # tenth of them inside of a commit.
        while kills < arguments.kills or writing < arguments.kills // 10:
            lives += 1
            self.assertLess(lives, 50 * arguments.kills, "too few kills have met the server while it was writing")
            server = Server(path)
            # One in eight is killed while it starts.
            steps = chance.randint(1, most) if chance.random() < 0.875 else 0
            if not server.events(steps, b"w" if chance.random() < 0.7 else b"wc"):
                self.assertEqual(server.finish()[0], 0)
                self.assertEqual(read(path), self.end)
                os.remove(path)  # from the beginning
                continue
            time.sleep(chance.choice([0, chance.random() * 0.0005, chance.random() * 0.004]))
            if server.kill():
                kills += 1
                writing += server.last == b"w"
        code, commits, err = Server(path).finish()
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(read(path), self.end)
        print(f"{kills} kills, {writing} of them inside of a commit", file=sys.stderr)

    def test_every_entry_matters(self):
        # Stopped in the middle of rounds that sum in either way.
        path = self.path("once")
        for rounds, entries in [(21, ["model", "trusted", "optimizer", "exact", "history", "arrived"]), (22, ["mean"])]:
            self.assertEqual(Server(path, "--stop", str(6 * rounds + 3)).finish()[:2], (0, 6 * rounds + 3))
            middle = read(path)
            self.assertEqual(Server(path).finish()[0], 0)
            self.assertEqual(read(path), self.end)
            for entry in entries:
                with self.subTest(entry=entry):
                    with open(path, "wb") as file:
                        file.write(middle)
                    code = Server(path, "--forget", entry).finish()[0]
                    self.assertTrue(code == 3 or read(path) != self.end, "forgotten, and nobody noticed")
            os.remove(path)

    def test_another_configuration_is_refused(self):
        path = self.path("other")
        server = Server(path)
        self.assertTrue(server.events(10, b"c"))
        self.assertTrue(server.kill())
        before = read(path)
        code, _, err = Server(path, "--rate", "0.5").finish()
        self.assertEqual(code, 3)
        self.assertIn("another configuration", err)
        self.assertEqual(read(path), before)

    def test_a_file_written_in_place_is_noticed(self):
        chance = random.Random(arguments.seed)
        path = self.path("place")
        # A kill in the middle of a write leaves half a file: about one in eight.
        for _ in range(300):
            if os.path.exists(path):
                os.remove(path)  # from the beginning
            server = Server(path, "--in-place")
            self.assertTrue(server.events(chance.randint(1, 80), b"p"))
            self.assertTrue(server.kill())
            code, _, err = Server(path, "--rate", "0.5").finish()
            self.assertEqual(code, 3)
            if "another configuration" not in err:  # which is said of a whole file
                self.assertRegex(err, "shorter than its header says|not a valid file|checksum")
                return
        self.fail("no kill has met the server while it was writing")


unittest.main(argv=[sys.argv[0], "-v", *rest])
