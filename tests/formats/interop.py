#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files of the real `safetensors` package through this library and back.

usage: interop.py PROGRAM

PROGRAM is tests/formats/interop. Exits with 77, which means skipped, where Python has no numpy or no safetensors.
"""
import json
import os
import random
import struct
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import safetensors
    import safetensors.numpy as reference
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

PROGRAM = sys.argv[1]
BITS = {"BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
        "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32,
        "F32": 32, "C64": 64, "F64": 64, "I64": 64, "U64": 64}
failures = 0


def check(holds, what):
    global failures
    if not holds:
        failures += 1
        print(f"FAILED: {what}")


def pipe(mode, content, folder):
    """`content` through the C++ program; None if it refuses."""
    source, target = os.path.join(folder, "in"), os.path.join(folder, "out")
    with open(source, "wb") as file:
        file.write(content)
    if os.path.exists(target):
        os.remove(target)
    done = subprocess.run([PROGRAM, mode, source, target], stderr=subprocess.PIPE, check=False)
    if done.returncode == 1:
        check(b"in: " in done.stderr, f"a refusal that does not name the file: {done.stderr!r}")
        return None
    check(done.returncode == 0, f"the program ends with {done.returncode}: {done.stderr!r}")
    with open(target, "rb") as file:
        return file.read()


def by_hand(tensors, metadata=None, order=None):
    """A file of (name, dtype, shape) with random bytes, written by hand; data in the order given."""
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape in tensors:
        size = BITS[dtype] * int(np.prod(shape, dtype=object)) // 8
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + size]}
        data += random.randbytes(size)
    if order is not None:
        header = {name: header[name] for name in [*order, *(["__metadata__"] if metadata is not None else [])]}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def content_of(file):
    """What the package sees: {name: (dtype, shape, bytes)}."""
    return {name: (t["dtype"], list(t["shape"]), bytes(t["data"])) for name, t in safetensors.deserialize(file)}


def metadata_of(file):
    return json.loads(file[8:8 + struct.unpack("<Q", file[:8])[0]]).get("__metadata__")


def accepted(file):
    try:
        content_of(file)
        return True
    except safetensors.SafetensorError:
        return False


def main():
    random.seed(1)
    generator = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        # The package's own files: through either call, the same bytes.
        tensors = {}
        for kind in ("bool uint8 int8 int16 uint16 float16 int32 uint32 float32 float64 int64 uint64").split():
            for shape in ((), (0,), (3, 0, 2), (5,), (2, 3), (1, 2, 1, 3), (2,) * 9):
                name = f"{kind} {shape} \u00e9\"\\\n\x01\x7f\U0001f600"
                tensors[name] = np.asarray(generator.random(shape) * 100).astype(kind)
        for metadata in (None, {"num_examples": "120"}, {"\u20ac\t": "\"\\/\x00\x1f\u2028"}):
            # A view keeps eight dimensions apart, so `save` gets none of nine.
            for mode, chosen in (("copy", tensors), ("save", {k: v for k, v in tensors.items() if v.ndim <= 8})):
                original = reference.save(chosen, metadata)
                written = pipe(mode, original, folder)
                check(written == original, f"{mode}: the package's bytes with metadata {metadata}")
                loaded = reference.load(written)
                check(loaded.keys() == chosen.keys(), f"{mode}: names")
                for name, tensor in chosen.items():
                    same = loaded[name].dtype == tensor.dtype and np.array_equal(loaded[name], tensor)
                    check(same, f"{mode}: {name}")
                check(metadata_of(written) == metadata, f"{mode}: metadata {metadata}")

        # More than one metadata key: the package writes them in random order, so contents are compared.
        many = {f"k{k}": f"v{k}" for k in range(20)}
        written = pipe("copy", reference.save({"w": np.ones(3, np.float32)}, many), folder)
        with safetensors.safe_open(os.path.join(folder, "out"), "numpy") as file:
            check(file.metadata() == many, "twenty metadata keys")
            check(np.array_equal(file.get_tensor("w"), np.ones(3, np.float32)), "safe_open")

        # No tensor, and no tensor but metadata.
        for metadata in (None, {"a": "b"}):
            check(pipe("copy", reference.save({}, metadata), folder) == reference.save({}, metadata), "no tensors")

        # Every dtype the installed package knows, bfloat16 and the packed ones included, in data order and shuffled.
        known = [d for d in BITS if accepted(by_hand([("w", d, (8,))]))]
        check({"BF16", "F8_E5M2", "F8_E4M3", "F64", "BOOL"} <= set(known), f"dtypes of the package: {known}")
        layout = [(f"{d} {shape}", d, shape) for d in known for shape in ((8,), (2, 4), (0,), ())
                  if BITS[d] * int(np.prod(shape)) % 8 == 0]
        for _ in range(20):
            random.shuffle(layout)
            names = [name for name, _, _ in layout]
            original = by_hand(layout, {"a": "b"}, random.sample(names, len(names)))
            written = pipe("copy", original, folder)
            check(content_of(written) == content_of(original), "content of a shuffled file")
            check(metadata_of(written) == {"a": "b"}, "metadata of a shuffled file")
        # The order of types is the package's: rewritten by it, a file of every type is the same file.
        if hasattr(safetensors, "TensorSpec"):
            import ctypes
            kinds = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "float8_e5m2": "F8_E5M2", "float8_e4m3fn": "F8_E4M3",
                     "float8_e8m0fnu": "F8_E8M0", "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ",
                     "int16": "I16", "uint16": "U16", "float16": "F16", "bfloat16": "BF16", "int32": "I32",
                     "uint32": "U32", "float32": "F32", "complex64": "C64", "float64": "F64", "int64": "I64",
                     "uint64": "U64"}
            buffer = ctypes.create_string_buffer(64)
            specs = {f"{random.random()}": safetensors.TensorSpec(
                dtype=kind, shape=[8], data_ptr=ctypes.addressof(buffer), data_len=BITS[name])
                for kind, name in kinds.items() for _ in range(2)}
            original = bytes(safetensors.serialize(specs))
            check(pipe("copy", original, folder) == original, "the package's order of types")

        # Mutated files: whatever is accepted here, the package accepts with the same content.
        taken = 0
        seeds = [by_hand(layout[:4], {"a": "b"}), by_hand([("w", "U8", (2,)), ("v", "F32", (1,))])]
        for _ in range(400):
            mutant = bytearray(random.choice(seeds))
            at = random.randrange(8, len(mutant))
            mutant[at] = random.choice(b"0123456789{}[],:\" -." + bytes([random.randrange(256)]))
            written = pipe("copy", bytes(mutant), folder)
            if written is None:
                continue
            taken += 1
            check(accepted(bytes(mutant)), f"accepted here, refused by the package: {bytes(mutant)!r}")
            check(content_of(written) == content_of(bytes(mutant)), "content of a mutated file")
        check(taken > 20, "some mutants are still files")
    print(f"safetensors {safetensors.__version__}: {failures} failures, {len(known)} dtypes, {taken} mutants taken")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
