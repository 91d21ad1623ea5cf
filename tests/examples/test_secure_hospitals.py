#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The example examples/secure_hospitals: its rounds, what it leaves behind, and what strangers on the wire can do to it.

usage: test_secure_hospitals.py --source DIR --program PROGRAM
"""
import argparse
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

parser = argparse.ArgumentParser()
parser.add_argument("--source", required=True)
parser.add_argument("--program", required=True)
arguments, rest = parser.parse_known_args()

CHALLENGE, GREETING, TASK, MESSAGE, FINISHED = range(1, 6)


def start(*options, folder=None):
    """In a process group of its own, so that nothing of it can hide."""
    environment = dict(os.environ, TMPDIR=folder) if folder else None
    return subprocess.Popen([arguments.program, *options], text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, env=environment, start_new_session=True)


def group_ends(process, seconds):
    for _ in range(int(seconds * 20)):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    return False


def frame(kind, body=b""):
    return struct.pack("<IB", len(body), kind) + body


def read_frame(s):
    """Kind and body of the next frame, or None at the end of the connection."""
    head = b""
    while len(head) < 5:
        try:
            more = s.recv(5 - len(head))
        except ConnectionResetError:  # it closed with something of ours unread
            more = b""
        if not more:
            return None
        head += more
    size, kind = struct.unpack("<IB", head)
    body = b""
    while len(body) < size:
        body += s.recv(size - len(body))
    return kind, body


def task(number):
    """An update is asked for, on a scale and from a model of zeros."""
    return frame(TASK, struct.pack("<QB", number, 1) + bytes(4 * (30 + 30 + 30 + 1)))


class Rounds(unittest.TestCase):
    def test_output_is_that_of_the_page(self):
        with open(os.path.join(arguments.source, "docs/secure_hospitals.md"), encoding="utf-8") as file:
            page = re.search(r"```text\n(Five hospitals.*?)```", file.read(), re.S).group(1)
        with tempfile.TemporaryDirectory() as folder:
            process = start(folder=folder)
            out, err = process.communicate(timeout=240)
            self.assertEqual((process.returncode, err), (0, ""), out)
            self.assertTrue(group_ends(process, 0.5))
            self.assertEqual(os.listdir(folder), [])
        # What the rounding left over differs each time.
        blank = lambda text: re.sub(r"\d\.\de-\d\d( +\d\.\de-\d\d)", r"\1", text)
        self.assertEqual(blank(out), blank(page))

    def test_interrupted(self):
        with tempfile.TemporaryDirectory() as folder:
            process = start(folder=folder)
            while not process.stdout.readline().startswith("    4 "):
                pass
            process.terminate()
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, err), (1, "secure_hospitals: interrupted\n"), out)
            self.assertTrue(group_ends(process, 0.5))
            self.assertEqual(os.listdir(folder), [])

    def test_launcher_killed(self):
        with tempfile.TemporaryDirectory() as folder:
            process = start(folder=folder)
            while not process.stdout.readline().startswith("    3 "):
                pass
            process.kill()
            process.wait()
            self.assertTrue(group_ends(process, 100), "children go on without anybody to talk to")
            process.communicate()

    def test_bad_options(self):
        for options in [["--nonsense"], ["--rounds"], ["--rounds", "13"], ["--seed", "x"], ["server"], ["hospital", "."],
                        ["hospital", ".", "5", "1", "1"], ["--keep", os.path.dirname(arguments.source) or "/"]]:
            with self.subTest(options=options):
                process = start(*options)
                _, err = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 2)
                self.assertIn("usage: secure_hospitals", err)


class Server(unittest.TestCase):
    def test_strangers(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "agreement"), "wb") as file:
                file.write(os.urandom(32 * 6))
            process = start("server", folder, "1", "2")
            try:
                port = int(process.stdout.readline().split()[1])
                for said in [b"\xff" * 9, frame(0), frame(6), frame(MESSAGE, b"FA"), frame(FINISHED),
                             frame(GREETING), frame(GREETING, bytes(68)), frame(GREETING, b"\xff" * 68),
                             frame(GREETING, bytes(69)), struct.pack("<IB", 1 << 31, GREETING)]:
                    with self.subTest(said=said), socket.create_connection(("127.0.0.1", port), 20) as s:
                        kind, body = read_frame(s)
                        self.assertEqual((kind, len(body)), (CHALLENGE, 32))
                        s.sendall(said)
                        self.assertIsNone(read_frame(s))
                # More silent ones than it keeps, and then there is still room.
                silent = [socket.create_connection(("127.0.0.1", port), 20) for _ in range(40)]
                kept = sum(read_frame(s) is not None for s in silent)
                self.assertEqual(kept, 16)
                for s in silent:
                    s.close()
                with socket.create_connection(("127.0.0.1", port), 20) as s:
                    self.assertEqual(read_frame(s)[0], CHALLENGE)
                self.assertIsNone(process.poll())
            finally:
                process.kill()
                process.communicate()


class Hospital(unittest.TestCase):
    """A hospital that has ended its fourteenth round, in the hands of a hostile server."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        process = start("--keep", cls.folder.name)
        process.communicate(timeout=240)
        assert process.returncode == 0

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def call(self):
        """A hospital and the server's end of its connection, which it has greeted."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(60)
            process = start("hospital", self.folder.name, "0", "1", str(listener.getsockname()[1]))
            s, _ = listener.accept()
        s.settimeout(60)
        s.sendall(frame(CHALLENGE, bytes(32)))
        kind, body = read_frame(s)
        self.assertEqual((kind, len(body), body[:4]), (GREETING, 68, bytes(4)))
        return process, s

    def end(self, process, s):
        s.sendall(frame(FINISHED))
        self.assertIsNone(read_frame(s))
        s.close()
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0)
        return err

    def test_says_the_same_again_and_nothing_else(self):
        process, s = self.call()
        s.sendall(task(14) + task(13) + task(14))
        first, second = read_frame(s), read_frame(s)
        self.assertEqual(first[0], MESSAGE)
        self.assertEqual(first[1][:4], b"FA\x01\x09")  # openings
        self.assertEqual(first, second)
        self.assertEqual(self.end(process, s), "")

    def test_damaged_state(self):
        path = os.path.join(self.folder.name, "north", "state")
        with open(path, "rb") as file:
            state = file.read()
        try:
            for bad in [state[:-1], state[:20], state[:9] + bytes([state[9] ^ 1]) + state[10:]]:
                with open(path, "wb") as file:
                    file.write(bad)
                process, s = self.call()
                s.sendall(task(14))
                self.assertIn("no part in round 14", self.end(process, s))
            with open(path, "wb") as file:
                file.write(state[:7])
            process = start("hospital", self.folder.name, "0", "1", "1")
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 1)
            self.assertIn("state", err)
        finally:
            with open(path, "wb") as file:
                file.write(state)

    def test_messages_of_no_protocol(self):
        process, s = self.call()
        s.sendall(task(14))
        self.assertIsNotNone(read_frame(s))
        for junk in [b"", b"FA", bytes(200), b"FA\x01\x02" + bytes(4000), frame(TASK)]:
            s.sendall(frame(MESSAGE, junk))
        s.sendall(frame(TASK, b"short"))
        self.assertEqual(len(self.end(process, s).splitlines()), 5)

    def test_frame_without_end(self):
        process, s = self.call()
        s.sendall(struct.pack("<IB", (1 << 32) - 1, MESSAGE))
        self.assertIsNone(read_frame(s))
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn("the server is gone", err)
        s.close()

    def test_training_that_gives_no_number(self):
        """The last one: the hospital has then begun a fifteenth round."""
        process, s = self.call()
        s.sendall(task(15))  # divides by deviations of zero
        self.assertIn("no part in round 15", self.end(process, s))


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *rest])
