#!/usr/bin/python3
"""Includes go strictly downward.

What a layer may use is what CMakeLists.txt says in its add_layer() lines (and what those use in turn), so there
is one place to declare it.  Beside that: the ranks of the layers, private headers stay in their folder, and each
outside library belongs to the layers named here.

usage: layers.py ROOT      exit 1 and one line per finding
"""
import pathlib
import re
import sys

RANKS = {"base": 0, "store": 1, "model": 1, "imap": 1, "net": 1,
         "upstream": 2, "account": 3, "session": 4, "root": 5}
# library header -> who may include it: layers, or single files
LIBRARIES = [
    (re.compile(r"lmdb\.h$"), {"store"}),
    (re.compile(r"openssl/"), {"net"}),
    (re.compile(r"ares(_.*)?\.h$"), {"net"}),
    (re.compile(r"ev(\+\+)?\.h$"), {"net", "root"}),
    (re.compile(r"confuse\.h$"), {"root"}),
    (re.compile(r"roaring/"), {"cache/base/bitmap.c"}),
    (re.compile(r"cmocka\.h$"), set()),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def declared_uses(cmake):
    """{layer: layers it may use}, itself and all that its dependencies bring included."""
    direct = {"root": {"session"}}
    for name, rest in re.findall(r"^add_layer\((\w+)\s+([^)]*)\)", cmake, re.M):
        direct[name] = {word for word in rest.split()[1:] if word in RANKS}
    uses = {}
    for layer in direct:
        seen, todo = set(), [layer]
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo.extend(direct.get(one, ()))
        uses[layer] = seen
    return uses


def check_ranks(uses):
    for layer, used in sorted(uses.items()):
        if layer not in RANKS:
            yield f"CMakeLists.txt: layer {layer} has no rank in layers.py"
            continue
        for other in sorted(used - {layer}):
            if RANKS[other] >= RANKS[layer]:
                yield f"CMakeLists.txt: {layer} may not use {other}: not below it"


def layer_of(path):
    """Layer of a path relative to the root; None: not ours to check."""
    parts = path.parts
    if parts[0] == "include" and len(parts) == 3:
        return parts[1]
    if parts[0] in ("cache", "proxy"):
        return parts[1] if len(parts) == 3 else "root"
    return None


def check_include(layer, path, kind, name, uses, exists):
    if kind == "<":
        for pattern, allowed in LIBRARIES:
            if pattern.match(name) and not {layer, path.as_posix()} & allowed:
                return f"<{name}> belongs to {', '.join(sorted(allowed)) or 'tests'}, not to {layer}"
        return None
    parts = name.split("/")
    if ".." in parts:
        return f'"{name}": no way up in an include'
    if len(parts) == 1:
        if not name.endswith("_p.h") and layer != "root":  # nothing can include the root's
            return f'"{name}": neither "layer/module.h" nor a private "module_p.h"'
        if path.parts[0] == "include":
            return f'"{name}": a public header may not include a private one'
        return None if exists(path.parent / name) else f'"{name}" is not in {path.parent}'
    if parts[0] not in RANKS or len(parts) != 2:
        return f'"{name}": {parts[0]} is no layer'
    if name.endswith("_p.h"):
        return f'"{name}": private to its folder'
    if parts[0] not in uses.get(layer, {layer}):
        return f'"{name}": {layer} may not use {parts[0]}'
    return None if exists(pathlib.Path("include") / name) else f'"{name}" does not exist'


def check_text(path, text, uses, exists):
    layer = layer_of(path)
    if layer is None:
        return
    if layer not in RANKS:
        yield f"{path}: {layer} is no layer"
        return
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            wrong = check_include(layer, path, found[1], found[2], uses, exists)
            if wrong:
                yield f"{path}:{number}: {wrong}"


def selftest():
    """The lint must find each of these, and nothing in the good ones."""
    uses = declared_uses("add_layer(base cache/base X)\nadd_layer(store cache/store base L)\n"
                         "add_layer(model cache/model base)\nadd_layer(account proxy/account store model)\n")
    bad = [("cache/model/a.c", '#include "store/env.h"'), ("cache/base/a.c", '#include "model/view.h"'),
           ("include/store/a.h", '#include "model/view.h"'), ("cache/model/a.c", "#include <lmdb.h>"),
           ("proxy/account/a.c", "#include <openssl/ssl.h>"), ("cache/store/a.c", "# include <ev.h>"),
           ("cache/store/a.c", '#include "../model/x.h"'), ("cache/store/a.c", '#include "env.h"'),
           ("include/store/a.h", '#include "env_p.h"'), ("proxy/account/a.c", '#include "store/env_p.h"'),
           ("cache/model/a.c", "#include <cmocka.h>"), ("proxy/odd/a.c", "int x;"),
           ("cache/base/a.c", "#include <roaring/roaring.h>"), ("cache/model/a.c", "#include <roaring/roaring.h>")]
    for path, line in bad:
        assert list(check_text(pathlib.Path(path), line, uses, lambda p: True)), (path, line)
    good = [("cache/store/a.c", "#include <lmdb.h>"), ("proxy/account/a.c", '#include "store/env.h"'),
            ("cache/store/a.c", '#include "env_p.h"'), ("proxy/main.c", "#include <ev.h>"),
            ("cache/base/bitmap.c", "#include <roaring/roaring.h>"),
            ("cache/model/a.c", '#include "base/buf.h"'), ("tests/x.c", '#include "any.h"')]
    for path, line in good:
        assert not list(check_text(pathlib.Path(path), line, uses, lambda p: True)), (path, line)
    assert list(check_text(pathlib.Path("cache/model/a.c"), '#include "base/no.h"', uses, lambda p: False))
    assert list(check_ranks({"base": {"base", "store"}})) and list(check_ranks({"store": {"model"}}))


def main():
    selftest()
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    uses = declared_uses((root / "CMakeLists.txt").read_text())
    findings = list(check_ranks(uses))
    n = 0
    for top in ("include", "cache", "proxy"):
        for file in sorted((root / top).rglob("*.[ch]")):
            n += 1
            path = file.relative_to(root)
            findings += check_text(path, file.read_text(errors="replace"), uses,
                                   lambda p: (root / p).exists())
    print("\n".join(findings + [f"layers: {n} files, {len(findings)} findings"]))
    return 1 if findings or n == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
