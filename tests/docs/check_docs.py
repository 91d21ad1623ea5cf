#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Checks what README.md and the pages under docs/ say against the code.

usage: check_docs.py [--work DIR] [--root DIR] [--only TEXT] -- COMPILER [FLAG...]
       check_docs.py --self-test -- COMPILER

  ```cpp block with `int main`   a program: compiled with strict warnings and run; its output must be the ```text block
                                 that follows, if one does
  other ```cpp block             a snippet: compiled inside a function, after prelude.hpp; its #includes go to the top
  README's first ```cpp block    equals examples/quickstart.cpp between `// [readme` and `// readme]`; that file is
                                 compiled and run
  links                          a relative link leads to a file, and its #part to a heading there
  lists                          every parameter of fields(), every errc, every preset and every top-level folder has its
                                 row
  names                          what docs/coming-from.md maps others' strategies to is declared in a header, and compiles
                                 where it is a whole value

  --only TEXT restricts the blocks that are compiled to files whose path contains TEXT.
"""
import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap

HERE = os.path.dirname(os.path.abspath(__file__))
STRICT = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
# A snippet shows one thing: it may leave a result unused, and name a variable as the prelude does.
LENIENT = ["-Wno-unused", "-Wno-shadow"]
# Headers of third parties that may be missing, and what tells if they are: their blocks are then named and left out.
OPTIONAL = {
    ("xtensor/", "fedagg/adapters/xtensor.hpp"): ["xtensor/xtensor.hpp", "xtensor/containers/xtensor.hpp"],
    ("torch/", "fedagg/adapters/libtorch.hpp"): ["torch/torch.h"],
    ("sodium", "fedagg/adapters/sodium.hpp"): ["sodium.h"],
}
# What a program is linked with if it includes one of them.
LIBRARIES = {"fedagg/adapters/sodium.hpp": "-lsodium"}


class Block:
    def __init__(self, path, line, language, text):
        self.path, self.line, self.language, self.text = path, line, language, text
        self.expected = None

    def where(self):
        return f"{self.path}:{self.line}"


def blocks(path, text):
    """The fenced blocks of a page; a ```text block right behind a program is its expected output."""
    found, current, gap = [], None, True
    for number, line in enumerate(text.splitlines(), 1):
        fence = re.match(r"\s*(```+)\s*(\S*)\s*$", line)
        if current is None and fence:
            current = Block(path, number, fence.group(2), [])
            current.follows = found[-1] if found and not gap else None
        elif current is not None and fence and not fence.group(2):
            current.text = textwrap.dedent("\n".join(current.text)) + "\n"
            if current.language == "text" and current.follows is not None and current.follows.language == "cpp":
                current.follows.expected = current.text
            found.append(current)
            current, gap = None, False
        elif current is not None:
            current.text.append(line)
        elif line.strip():
            gap = True
    return found


def pages(root):
    yield "README.md"
    for folder, folders, files in os.walk(os.path.join(root, "docs")):
        folders.sort()
        for name in sorted(files):
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def is_program(block):
    return re.search(r"\bint main\s*\(", block.text) is not None


def missing_header(block, compiler):
    for name in re.findall(r"^\s*#\s*include\s*<([^>]+)>", block.text, re.M):
        for prefixes, any_of in OPTIONAL.items():
            if not name.startswith(prefixes):
                continue
            test = "#if !" + " && !".join(f"__has_include(<{third}>)" for third in any_of) + "\n#error\n#endif\n"
            done = subprocess.run(compiler + ["-x", "c++", "-fsyntax-only", "-"], input=test, text=True,
                                  capture_output=True)
            if done.returncode != 0:
                return name
    return None


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, errors="replace", **more)


def compile_and_run(source, compiler, out):
    """Problems, and what the program printed."""
    # Two steps, because ccache knows only the first; -Og, because what takes time is compiling them.
    done = run(compiler + STRICT + ["-Og", "-pthread", "-c", source, "-o", out + ".o"])
    if done.returncode == 0:
        with open(source, encoding="utf-8") as file:
            text = file.read()
        libraries = [flag for header, flag in LIBRARIES.items() if f"#include <{header}>" in text]
        done = run(compiler + [out + ".o", "-o", out, "-pthread"] + libraries)
    if done.returncode != 0:
        return ["does not compile:\n" + done.stderr[-3000:]], ""
    with tempfile.TemporaryDirectory() as empty:
        try:
            ran = run([out], cwd=empty, timeout=120)
        except subprocess.TimeoutExpired:
            return ["does not end"], ""
    if ran.returncode != 0:
        return [f"ends with {ran.returncode}: {ran.stderr[-1000:]}"], ran.stdout
    return [], ran.stdout


def write(work, name, text):
    path = os.path.join(work, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def check_program(block, compiler, work):
    name = re.sub(r"\W", "_", block.path) + f"_{block.line}"
    source = write(work, name + ".cpp", f'#line {block.line + 1} "{block.path}"\n' + block.text)
    problems, printed = compile_and_run(source, compiler, os.path.join(work, name))
    if not problems and block.expected is not None and printed != block.expected:
        problems.append(f"prints\n{printed}where the page says\n{block.expected}")
    return [f"{block.where()}: {problem}" for problem in problems]


def check_snippets(path, snippets, compiler, work):
    includes, bodies = ['#include "prelude.hpp"'], []
    for block in snippets:
        body = []
        for line in block.text.splitlines():
            if re.match(r"\s*#\s*include\b", line):
                includes.append(line)
                line = ""
            body.append(line)
        bodies.append(f'void snippet_{block.line}();\nvoid snippet_{block.line}() {{\n#line {block.line + 1} "{path}"\n'
                      + "\n".join(body) + "\n}")
    source = write(work, re.sub(r"\W", "_", path) + "_snippets.cpp", "\n".join(includes + bodies) + "\n")
    done = run(compiler + STRICT + LENIENT + ["-I", HERE, "-fsyntax-only", source])
    return [f"{path}: a snippet does not compile:\n{done.stderr[-3000:]}"] if done.returncode != 0 else []


def quickstart(root):
    """The lines between the markers, or None."""
    text = read(root, "examples/quickstart.cpp")
    found = re.search(r"^// \[readme\n(.*?)^// readme\]\n", text, re.M | re.S)
    return found.group(1) if found else None


def slug(heading):
    heading = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading.strip().lower())
    return re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")


def prose(text):
    """A page without its blocks, so that neither headings nor links are looked for in code."""
    return re.sub(r"^\s*```.*?^\s*```\s*$", "", text, flags=re.M | re.S)


def check_links(root, path, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(text)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, part = target.partition("#")
        full = os.path.normpath(os.path.join(root, os.path.dirname(path), file)) if file else os.path.join(root, path)
        if not os.path.exists(full):
            yield f"{path}: the link {target} leads nowhere"
        elif part and full.endswith(".md"):
            with open(full, encoding="utf-8") as other:
                headings = re.findall(r"^#+ (.*)$", prose(other.read()), re.M)
            if part not in map(slug, headings):
                yield f"{path}: the link {target} names no heading"


def check_lists(root):
    """Rows that a page owes to the code, apart from the parameters."""
    def missing(page, names, pattern):
        text = read(root, page)
        return [f"{page}: has no row for {name}" for name in names
                if not re.search(pattern.format(re.escape(name)), text, re.M)]

    codes = re.search(r"enum class errc[^{]*\{(.*?)\};", read(root, "include/fedagg/core/errc.hpp"), re.S).group(1)
    codes = re.findall(r"^\s*(\w+)(?: = 0)?,", codes, re.M)
    presets = [p["name"] for p in json.loads(read(root, "CMakePresets.json"))["configurePresets"] if not p.get("hidden")]
    ignored = {line.strip("/") for line in read(root, ".gitignore").split()}  # what the demo writes, say
    folders = [f for f in os.listdir(root)
               if os.path.isdir(os.path.join(root, f)) and not f.startswith((".", "build")) and f not in ignored]
    inside = [f for f in os.listdir(os.path.join(root, "include/fedagg"))
              if os.path.isdir(os.path.join(root, "include/fedagg", f))]
    return (missing("docs/core.md", codes, r"^\| `{}` \|")
            + missing("README.md", presets, r"^\| `{}` \|")
            + missing("README.md", sorted(folders), r"^\| `{}/")
            + missing("README.md", sorted(f"include/fedagg/{f}" for f in inside), r"^\| `{}/`"))


def declared(root):
    """{name: text of the headers that declare it, and of the parts of these headers}, for types and free functions."""
    top, texts = os.path.join(root, "include/fedagg"), {}
    for folder, _, files in os.walk(top):
        for name in files:
            if name.endswith(".hpp"):
                path = os.path.join(folder, name)
                texts[path[:-len(".hpp")]] = read(root, os.path.relpath(path, root))
    names = {}
    for stem, text in texts.items():
        whole = text + "".join(other for path, other in texts.items() if path.startswith(stem + os.sep))
        types = re.findall(r"^(?:template <.*> )?(?:struct|class|enum class|concept|using) (\w+)", text, re.M)
        functions = re.findall(r"^(?:\[\[nodiscard\]\] )?(?:inline |constexpr )*[\w:]+(?:<[\w:<>]*>)? (\w+)\(", text, re.M)
        for name in types + functions:
            names[name] = names.get(name, "") + whole
    return names


def check_names(page, text, names, columns=("ours", "here")):
    """The code in a page's columns about this library names types, functions and members that there are."""
    header = []
    for line in prose(text).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells:
            header = []
        elif not header:
            header = cells
        for title, cell in zip(header, cells):
            for code in re.findall(r"`([^`]+)`", cell) if title in columns and cells is not header else []:
                first = re.match(r"\w+", code)
                used = re.findall(r"(\w+)::(\w+)", code)
                used += [(first.group() if first else code, m) for m in re.findall(r"\.([a-z]\w*)", code)]
                for name in {first.group() if first else code} | {owner for owner, _ in used}:
                    if name not in names:
                        yield f"{page}: no header declares {name}, of `{code}`"
                for owner, member in used:
                    if owner in names and not re.search(rf"\b{member}\b", names[owner]):
                        yield f"{page}: {owner} has no {member}, of `{code}`"


def values(text, columns=("ours",)):
    """Of the code in these columns, what is a whole value: `krum{.f = 1}`, `krum::flower(f)`."""
    found, header = set(), []
    for line in prose(text).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        header = header or cells if cells else []
        for title, cell in zip(header, cells):
            if title in columns:
                found |= {code for code in re.findall(r"`([^`]+)`", cell)
                          if re.fullmatch(r"\w+\{(\.\w+ = [^,{}]+(, |(?=\})))*\}|\w+::\w+\((f(, select)?)?\)", code)}
    return sorted(found)


def check_values(root, page, compiler, work):
    """The values of a page compile, all headers that they may come from together."""
    folders = ["client", "protocols"]
    headers = ["fedagg.hpp", "optimizers.hpp"] + [f"{folder}/{name}" for folder in folders for name in sorted(
        os.listdir(os.path.join(root, "include/fedagg", folder))) if name.endswith(".hpp")]
    lines = [f"#include <fedagg/{header}>" for header in headers] + [
        "using namespace fedagg;", "int main() {", "[[maybe_unused]] const int f = 1, select = 1;"]
    found = values(read(root, page))
    source = write(work, "values.cpp", "\n".join(lines + [f"(void)({value});" for value in found] + ["}\n"]))
    done = run(compiler + STRICT + ["-fsyntax-only", source])
    return ([f"{page}: a value does not compile:\n{done.stderr[-3000:]}"] if done.returncode != 0 else []) + (
        [] if found else [f"{page}: has no values"])


def parameter_rows(text):
    """The rows of a page's first parameter table."""
    table = re.search(r"^\| parameter \|.*\n\|[-|]+\|\n((?:\|.*(?:\n|$))*)", text, re.M)
    return table.group(1).splitlines() if table else []


def compare_parameters(owed, shown):
    """What is wrong with pages' parameter tables: `owed` and `shown` have each page's rows."""
    for page in sorted(owed.keys() | shown.keys()):
        if page not in owed:
            yield f"{page}: tests/docs/parameters.cpp does not know what it is about"
        elif page not in shown:
            yield f"{page}: is missing"
        else:
            yield from (f"{page}: its parameter table lacks the row\n{row}" for row in owed[page] if row not in shown[page])
            yield from (f"{page}: no parameter gives the row\n{row}" for row in shown[page] if row not in owed[page])


def check_parameters(root, compiler, work):
    problems, printed = compile_and_run(os.path.join(HERE, "parameters.cpp"), compiler, os.path.join(work, "parameters"))
    if problems:
        return [f"tests/docs/parameters.cpp: {problem}" for problem in problems]
    owed = {}
    for line in printed.splitlines():
        page, row = line.split("\t", 1)
        owed.setdefault(page, []).extend([row] if row else [])
    shown = {page: parameter_rows(read(root, page)) for page in pages(root)
             if page.startswith(("docs/rules/", "docs/mixing/", "docs/attacks/", "docs/optimizers/"))}
    return list(compare_parameters(owed, shown))


def check_pages(root, compiler, work, only=""):
    os.makedirs(work, exist_ok=True)
    problems, jobs, left_out = [], [], []
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for path in pages(root):
            text = read(root, path)
            problems += check_links(root, path, text)
            found = [b for b in blocks(path, text) if b.language in ("cpp", "c++", "C++", "cc")]
            problems += [f"{b.where()}: the language is called cpp" for b in found if b.language != "cpp"]
            if path == "README.md":
                example = quickstart(root) if os.path.exists(os.path.join(root, "examples/quickstart.cpp")) else None
                if example is None:
                    problems.append("examples/quickstart.cpp: is missing, or has not the lines `// [readme` and `// readme]`")
                elif not found or found[0].text != example:
                    problems.append("README.md: its first block is not what examples/quickstart.cpp shows")
                found = found[1:]
            if only not in path:
                continue
            snippets = []
            for block in found:
                header = missing_header(block, compiler)
                if header:
                    left_out.append(f"{block.where()}: left out, <{header}> needs a library that is not installed")
                elif is_program(block):
                    jobs.append(pool.submit(check_program, block, compiler, work))
                else:
                    snippets.append(block)
            if snippets:
                jobs.append(pool.submit(check_snippets, path, snippets, compiler, work))
        if not only:
            jobs.append(pool.submit(check_parameters, root, compiler, work))
            jobs.append(pool.submit(check_values, root, "docs/coming-from.md", compiler, work))
            if os.path.exists(os.path.join(root, "examples/quickstart.cpp")):
                jobs.append(pool.submit(lambda: [
                    f"examples/quickstart.cpp: {p}" for p in compile_and_run(
                        os.path.join(root, "examples/quickstart.cpp"), compiler, os.path.join(work, "quickstart"))[0]]))
        for job in jobs:
            problems += job.result()
    problems += check_lists(root)
    problems += check_names("docs/coming-from.md", read(root, "docs/coming-from.md"), declared(root))
    return problems, left_out, len(jobs)


def self_test(compiler):
    """Each kind of fault, planted in a page of its own, is found; the sound page gives none."""
    program = "```cpp\n#include <cstdio>\nint main() { std::puts(\"%s\"); }\n```\n\n```text\n5\n```\n"
    cases = {
        "sound": ("[x](#a-heading)\n# A heading\n" + program % "5", 0),
        "output": (program % "6", 1),
        "warning": ("```cpp\nint main(int count, char**) { char c = count; return c - 1; }\n```\n", 1),
        "error": ("```cpp\nint main() { return nothing; }\n```\n", 1),
        "failure": ("```cpp\nint main() { return 3; }\n```\n", 1),
        "link": ("[x](nowhere.md)\n", 1),
        "part": ("# One\n[x](#two)\n", 1),
        "code": ("```text\n[x](nowhere.md)\n```\n", 0),
    }
    missed = []
    with tempfile.TemporaryDirectory() as work:
        for name, (text, expected) in cases.items():
            problems = list(check_links(work, "page.md", write(work, "page.md", text) and text))
            for block in blocks(f"{name}.md", text):
                if block.language == "cpp":
                    problems += check_program(block, compiler, work)
            if len(problems) != expected:
                missed.append(f"{name}: {len(problems)} problems, expected {expected}: {problems}")
        row = "| `f` | whole, from 0 | not given | hostile |"
        page = "# A\n\n| parameter | values | default | meaning |\n|---|---|---|---|\n" + row
        for owed, shown, expected in [({"a": [row]}, {"a": parameter_rows(page)}, 0), ({"a": []}, {"a": [row]}, 1),
                                      ({"a": [row]}, {"a": []}, 1), ({"a": [row]}, {}, 1), ({}, {"a": []}, 1)]:
            problems = list(compare_parameters(owed, shown))
            if len(problems) != expected:
                missed.append(f"parameters: {len(problems)} problems, expected {expected}: {problems}")
        names = {"krum": "struct krum { int f; static krum flower(); };", "role": "enum class role { keep };"}
        for cell, expected in [("`krum{.f = 1}`, `krum::flower(f)` with `role::keep`", 0), ("`kurm`", 1), ("`krum{.g = 1}`", 1),
                               ("`krum::leaf(f)`", 1), ("`krum{.f = rule::keep}`", 1), ("kurm", 0)]:
            page = f"| theirs | ours | what differs |\n|---|---|---|\n| `x` | {cell} | `y` \\| z |\n"
            problems = list(check_names("page.md", page, names))
            if len(problems) != expected:
                missed.append(f"names, {cell}: {len(problems)} problems, expected {expected}: {problems}")
        page = "| theirs | ours |\n|---|---|\n| `x{}` | `a{.f = 1, .g = b::c}`, `a{.f}`, `a::b(f)`, `a::b(x)`, `a{}` |\n"
        if values(page) != ["a::b(f)", "a{.f = 1, .g = b::c}", "a{}"]:
            missed.append(f"values: {values(page)}")
        text = "```cpp\nint x = 1;\n```\ntext between\n```text\n1\n```\n"
        if blocks("page.md", text)[0].expected is not None:
            missed.append("a text block behind other text is taken for the output")
    return missed


def main():
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    own, compiler = sys.argv[1:split], sys.argv[split + 1:]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work")
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(HERE)))
    parser.add_argument("--only", default="")
    parser.add_argument("--self-test", action="store_true")
    arguments = parser.parse_args(own)
    if not compiler:
        parser.error("the compiler goes behind --")
    if arguments.self_test:
        missed = self_test(compiler)
        sys.exit("\n".join(missed) if missed else 0)
    with tempfile.TemporaryDirectory() as temporary:
        problems, left_out, jobs = check_pages(arguments.root, compiler, arguments.work or temporary, arguments.only)
    print("\n".join(left_out + problems + [f"{jobs} programs and pages compiled, {len(problems)} problems"]))
    sys.exit(1 if problems or jobs == 0 else 0)


if __name__ == "__main__":
    main()
