#!/usr/bin/python3
"""Budgets: function <= 80 lines and <= 6 parameters, file <= 900, header <= 200 (a fixture of the tests counts as
a file); no function-like macro that hides a return, but TRY; no mutable variable that outlives a function, but in
main, log and fault, and for the signal handler of the store, which nothing can be handed to.

usage: sizes.py ROOT      exit 1 and one line per finding
"""
import pathlib
import re
import sys

FUNCTION_LINES, FILE_LINES, HEADER_LINES, PARAMETERS = 80, 900, 200, 6

MAY_HOLD_STATE = {"proxy/main.c", "cache/base/log.c", "cache/base/fault.c", "cache/store/crash.c"}
NOT_A_VARIABLE = re.compile(r"^(?:typedef|extern|_Static_assert|(?:struct|union|enum)\s*\w*\s*(?:\{|;|$))")


def blank(text):
    """Comments, strings and character constants replaced by spaces; line breaks stay."""
    def spaces(found):
        return re.sub(r"[^\n]", " ", found[0])
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text, flags=re.S)


def functions(lines):
    """(first line number, last line number, signature) of each definition, 1-based.  House style: the brace
    of a function, and nothing else, stands alone at the start of a line."""
    start = None
    for i, line in enumerate(lines):
        if line.rstrip() == "{":
            first = i
            while first > 0 and lines[first - 1].strip() and not re.search(r"[;}]\s*$", lines[first - 1]) \
                    and not lines[first - 1].startswith("#"):
                first -= 1
            start = (first, " ".join(lines[first:i]))
        elif line.rstrip() == "}" and start:
            yield start[0] + 1, i + 1, start[1]
            start = None


def parameter_n(signature):
    """Of the first parenthesised list after the name."""
    at = signature.find("(")
    depth, n, text = 0, 1, ""
    for c in signature[at:] if at >= 0 else "":
        depth += (c == "(") - (c == ")")
        n += c == "," and depth == 1
        text += c
        if depth == 0:
            break
    return 0 if text.strip("() ") in ("", "void") else n


def check_sizes(path, lines):
    limit = HEADER_LINES if path.endswith(".h") and not path.startswith("tests/") else FILE_LINES
    if len(lines) > limit:
        yield len(lines), f"file of {len(lines)} lines, at most {limit}"
    for first, last, signature in functions(lines):
        if last - first + 1 > FUNCTION_LINES:
            yield first, f"function of {last - first + 1} lines, at most {FUNCTION_LINES}"
        if parameter_n(signature) > PARAMETERS:
            yield first, f"{parameter_n(signature)} parameters, at most {PARAMETERS}"


def check_macros(text):
    for found in re.finditer(r"^[ \t]*#[ \t]*define[ \t]+(\w+)\(((?:[^\n]*\\\n)*[^\n]*)", text, re.M):
        if found[1] != "TRY" and re.search(r"\b(return|goto)\b", found[2]):
            yield text.count("\n", 0, found.start()) + 1, f"{found[1]}: a macro that hides a return"


def is_mutable(statement):
    """Whether a declaration outside functions (or a static one inside) makes a variable that can change."""
    declarator = re.sub(r"\[[^\]]*\]|__attribute__\s*\(\(.*?\)\)", "", statement.split("=")[0]).strip(" ;")
    if not declarator or NOT_A_VARIABLE.match(declarator):
        return False
    if "(" in declarator and "(*" not in declarator.replace(" ", ""):
        return False  # a function
    if len(declarator.split()) < 2:
        return False
    return "const" not in (declarator.rsplit("*", 1)[1] if "*" in declarator else declarator)


def top_level(text):
    """(line number, text) of each declaration outside braces and preprocessor lines; initialisers cut."""
    text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda f: re.sub(r"[^\n]", " ", f[0]), text, flags=re.M)
    depth, statement, line, first = 0, "", 1, 1
    for c in text:
        line += c == "\n"
        if c == "{":
            depth += 1
            statement += "{}" if depth == 1 else ""
        elif c == "}":
            depth -= 1
            if depth == 0 and "(" in statement and "=" not in statement:
                statement = ""  # the end of a function
        elif depth == 0:
            if not statement.strip():
                first = line
            statement += c
            if c == ";":
                yield first, re.sub(r"\s+", " ", statement).strip()
                statement = ""


def check_state(path, text):
    if path.startswith("tests/") or path in MAY_HOLD_STATE or path.endswith(".h"):
        return
    for number, statement in top_level(text):
        tagged = re.match(r"(?:static |const )*(?:struct|union|enum)\b[^{=]*\{\} *(.*)", statement)
        if tagged:  # "static const struct {...} name[] = ..." or a plain type definition
            statement = f"{'const ' if re.match(r'(static )?const', statement) else ''}int {tagged[1]}"
            if not tagged[1].strip(" ;"):
                continue
        if is_mutable(statement):
            yield number, f"mutable variable: {statement[:60]}"
    for found in re.finditer(r"^[ \t]+static\s+([^;{=]*)[;={]", text, re.M):
        if is_mutable(found[1]):
            yield text.count("\n", 0, found.start()) + 1, f"mutable static in a function: {found[1][:60]}"


def check(path, raw):
    text = blank(raw)
    lines = text.split("\n")
    lines = lines[:-1] if lines and not lines[-1] else lines
    for findings in (check_sizes(path, lines), check_macros(text), check_state(path, text)):
        for number, what in findings:
            yield f"{path}:{number}: {what}"


def selftest():
    """Each of these must be found, and nothing in the good ones."""
    short_body = "    x++;\n" * 77  # with name and braces: 80 lines
    long_body = short_body + "    x++;\n"
    bad = [("a.c", f"void f(void)\n{{\n{long_body}}}\n"), ("a.c", "int x(int a,\n  int b, int c, int d, int e, int (*f)(int, int), int g)\n{\n}\n"),
           ("a.c", "\n" * 901), ("a.h", "\n" * 201),
           ("a.h", "#define BAIL(x) \\\n    do { \\\n        if (x) { return; } \\\n    } while (0)"),
           ("cache/x/a.c", "static int n;"), ("cache/x/a.c", "int n = 3;"), ("cache/x/a.c", "static const char *name;"),
           ("cache/x/a.c", "static struct foo table[] = {{1}, {2}};"), ("cache/x/a.c", "static void (*hook)(int);"),
           ("cache/x/a.c", "static struct { int a; } x;"), ("cache/x/a.c", "struct p {\n int a;\n} q;"),
           ("cache/x/a.c", "void f(void)\n{\n    static int n;\n}\nstatic bool done = false;")]
    for path, text in bad:
        assert list(check(path, text)), (path, text[:80])
    good = [("a.c", f"void f(void)\n{{\n{short_body}}}\n"),
            ("a.c", "int x(int a, int b, int c, int d, int e, int (*f)(int, int))\n{\n}\n"),
            ("tests/a.h", "\n" * 201), ("a.h", '/* #define A(x) return */'), ("a.h", "#define TRY(x) do { return x; } while (0)"),
            ("a.h", "#define RETURNS 1"), ("cache/x/a.c", "static const int n = 3;"),
            ("cache/x/a.c", "static const char *const names[] = {\"a\", \"b\"};"),
            ("cache/x/a.c", "enum { A, B };\nstruct p {\n int a;\n};\ntypedef int (*fn)(int);"),
            ("cache/x/a.c", "static const struct {\n int a;\n} T[] = {\n {1},\n};\nenum { N = sizeof(T) };"),
            ("cache/x/a.c", "static int f(int a);\nint g(void)\n{\n    int n = 1;\n    return n;\n}"),
            ("cache/x/a.c", "extern int n;\nvoid f(void)\n{\n    static const int k[] = {1};\n}"),
            ("tests/a.c", "static int n;"), ("proxy/main.c", "static int n;")]
    for path, text in good:
        assert not list(check(path, text)), (path, text[:80], list(check(path, text)))


def main():
    selftest()
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    findings, n = [], 0
    for top in ("include", "cache", "proxy", "tests"):
        for file in sorted((root / top).rglob("*.[ch]")):
            n += 1
            findings += check(str(file.relative_to(root)), file.read_text(errors="replace"))
    print("\n".join(findings + [f"sizes: {n} files, {len(findings)} findings"]))
    return 1 if findings or n == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
