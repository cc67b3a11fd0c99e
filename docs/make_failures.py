"""Writes ``docs/failures.md`` from the source: ``python docs/make_failures.py``; ``--print`` shows it instead.

Every message that a user can meet is built somewhere in ``src``: an error of one of the classes in ``ERRORS``, or a
function that returns one. This reads the syntax trees, follows names and small helpers to the texts they stand for,
and writes what varies as a placeholder.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src" / "labelwise"
PAGE = Path(__file__).with_name("failures.md")
ERRORS = {"UserError", "NotFitted", "Unusable", "Interrupted", "Stopped", "BadParameter", "BadItem", "_say"}
"""What carries a message: error classes, the reason why an item cannot be used, and the command line's last word."""
MESSAGE_AT = {"BadItem": 2}
DEEPEST = 6
SLOT = "‹[^›]*›"
Node = ast.expr | None
Function = ast.FunctionDef | ast.AsyncFunctionDef


def _advice() -> tuple[dict[str, tuple[str, str]], dict[str, str]]:
    spec = importlib.util.spec_from_file_location(
        "failure_advice", Path(__file__).with_name("failure_advice.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ROOMS, module.FILES


ROOMS, FILES = _advice()
HEADER = """---
hide:
  - navigation
search:
  boost: 2
---

# Errors

Made from the source by `python docs/make_failures.py`; a test fails when a message is missing here.

A mistake in what you gave is one line: what is wrong, where, and what to do. On the command line it starts with
`error:` and the exit code is 2; in Python it is a `labelwise.UserError`, which is a `ValueError`. Search this page for
some words of your message: <var>slanted words</var> stand for what the message fills in, and braces hold what is there
at times only, or several ways that it may read, with a stroke between them.

Exit codes of the command line: 0 done; 1 a fault in labelwise (please report it, with what `--debug` shows); 2 a
mistake that the line says how to mend; 130 stopped by Ctrl-C.
"""


@dataclass
class Source:
    """A file of the library: its tree, functions by name, and texts by name."""

    path: str
    title: str
    tree: ast.Module
    functions: dict[str, Function]
    constants: dict[str, ast.expr]
    imports: dict[str, str]


Makers = Mapping[str, tuple[Function, Source]]


@dataclass(frozen=True, order=True)
class Message:
    """One template, with what varies in ‹angles›, and where it is raised."""

    file: str
    text: str
    line: int = field(compare=False)


def sources(root: Path = ROOT) -> list[Source]:
    """Return the files of the library, sorted."""
    found = []
    for path in sorted(root.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
        constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        imports = {
            alias.asname or alias.name: (node.module or "").split(".")[-1]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        title = (ast.get_docstring(tree) or path.stem).split("\n")[0].rstrip(".")
        found.append(Source(path.relative_to(root).as_posix(), title, tree, functions, constants, imports))
    return found


def collect(root: Path = ROOT) -> list[Message]:
    """Return every message of the library, once a file."""
    files = sources(root)
    makers = _makers(files)
    found: dict[tuple[str, str], Message] = {}
    for source in files:
        for scope, call in _calls(source.tree, None):
            for text in _texts(source, scope, call, makers):
                text = " ".join(text.split()).removeprefix("error: ")
                if re.sub(SLOT + r"|[{}\s/]", "", text):
                    found.setdefault((source.path, text), Message(source.path, text, call.lineno))
    return sorted(found.values())


def _texts(source: Source, scope: Function | None, call: ast.Call, makers: Makers) -> list[str]:
    """Return the messages that a call makes: none where it makes no error."""
    name = _called(call)
    reader = _Reader(source, scope, {}, makers)
    if name in ERRORS:
        at = MESSAGE_AT.get(name, 0)
        # A function that returns an error is shown where it is called, with what it was told.
        returned = scope is not None and makers.get(scope.name, (None,))[0] is scope
        return [] if len(call.args) <= at or returned else reader.variants(call.args[at])
    if name not in makers:
        return []
    maker, home = makers[name]
    here = source.path == home.path or isinstance(call.func, ast.Attribute)
    if not here and source.imports.get(name) != Path(home.path).stem:
        return []
    told = _Reader(home, maker, _bound(maker, call, reader), makers)
    return [text for node in _returned(maker) for text in [told.message(node)] if text]


def _makers(files: list[Source]) -> Makers:
    """Return the functions that return a ``UserError``."""
    return {
        name: (function, source)
        for source in files
        for name, function in source.functions.items()
        if isinstance(function.returns, ast.Name) and function.returns.id == "UserError"
    }


def _calls(node: ast.AST, scope: Function | None) -> Iterator[tuple[Function | None, ast.Call]]:
    """Yield every call below ``node`` with the innermost function that it stands in."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield scope, child
        yield from _calls(child, child if isinstance(child, Function) else scope)


def _called(call: ast.Call) -> str:
    at = call.func
    return at.id if isinstance(at, ast.Name) else at.attr if isinstance(at, ast.Attribute) else ""


def _returned(function: Function) -> list[ast.expr]:
    return [
        node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None
    ]


def _bound(function: Function, call: ast.Call, caller: _Reader) -> dict[str, str]:
    """Return the arguments of a call as texts, by the names of the function's parameters."""
    names = [a.arg for a in function.args.args if a.arg not in ("self", "cls")]
    given = dict(zip(names, call.args, strict=False))
    given |= {k.arg: k.value for k in call.keywords if k.arg is not None}
    return {name: caller.render(value, 1) for name, value in given.items()}


class _Reader:
    """Reads expressions as text, in one function of one file."""

    def __init__(
        self,
        source: Source,
        scope: Function | None,
        bound: Mapping[str, str],
        makers: Makers,
    ) -> None:
        self._source, self._scope, self._bound, self._makers = source, scope, bound, makers

    def message(self, node: ast.expr) -> str:
        """Return the text of an error that a function returns."""
        if isinstance(node, ast.Call) and _called(node) in ERRORS and node.args:
            return self.render(node.args[MESSAGE_AT.get(_called(node), 0)], 0)
        return ""

    def variants(self, node: ast.expr) -> list[str]:
        """Return the texts that an expression may stand for as a whole."""
        if isinstance(node, ast.IfExp):
            return self.variants(node.body) + self.variants(node.orelse)
        if isinstance(node, ast.Call):
            function = self._source.functions.get(_called(node))
            if function is not None and _returns_text(function):
                reader = _Reader(self._source, function, _bound(function, node, self), self._makers)
                return [text for value in _returned(function) for text in reader.variants(value)]
        if isinstance(node, ast.Name) and node.id not in self._bound:
            texts = [value for value in self._assigned(node.id) if _is_text(value)]
            if texts:
                return [text for value in texts for text in self.variants(value)]
        return [self.render(node, 0)]

    def render(self, node: Node, depth: int) -> str:
        """Return the text of an expression; what is no text is a placeholder."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else str(node.value)
        if isinstance(node, ast.JoinedStr):
            return "".join(self.render(part, depth) for part in node.values)
        if isinstance(node, ast.FormattedValue):
            return self.render(node.value, depth)
        if isinstance(node, ast.BinOp) and _is_text(node):
            return self.render(node.left, depth) + self.render(node.right, depth)
        if isinstance(node, ast.IfExp):
            return _either([self.render(node.body, depth), self.render(node.orelse, depth)])
        if isinstance(node, ast.Name):
            return self._name(node.id, depth)
        if isinstance(node, ast.Call):
            return self._call(node, depth)
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Dict):
            return _either([self.render(value, depth) for value in node.value.values])
        return _slot(_word(node))

    def _name(self, name: str, depth: int) -> str:
        if name in self._bound:
            return self._bound[name]
        if depth < DEEPEST:
            texts = [value for value in self._assigned(name) if _is_text(value)]
            if texts:
                return _either([self.render(value, depth + 1) for value in texts])
            if name in self._source.constants and _is_text(self._source.constants[name]):
                return self.render(self._source.constants[name], depth + 1)
        return _slot(_plain(name))

    def _assigned(self, name: str) -> list[ast.expr]:
        if self._scope is None:
            return []
        return [
            node.value
            for node in ast.walk(self._scope)
            if isinstance(node, ast.Assign)
            and any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
        ]

    def _call(self, call: ast.Call, depth: int) -> str:
        name = _called(call)
        if name == "near":
            return "{did you mean ‹name›? / there are: ‹names›}"
        if name == "listed" and call.args:
            return self._listed(call.args[0])
        if name == "join" and isinstance(call.func, ast.Attribute) and call.args:
            return self._listed(call.args[0])
        function = self._source.functions.get(name)
        if function is not None and depth < DEEPEST and _returns_text(function):
            reader = _Reader(self._source, function, _bound(function, call, self), self._makers)
            texts = [reader.render(node, depth + 1) for node in _returned(function)]
            if any(re.sub(SLOT, "", text).strip() for text in texts):
                return _either(texts)
        return _slot(_word(call))

    def _listed(self, node: ast.expr) -> str:
        if isinstance(node, ast.Name) and node.id in self._bound:
            return self._bound[node.id]
        return _slot(_word(node))


def _returns_text(function: Function) -> bool:
    return isinstance(function.returns, ast.Name) and function.returns.id == "str"


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add) and (_is_text(node.left) or _is_text(node.right))
    if isinstance(node, ast.Call):
        return _called(node) in ("near", "listed")
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _slot(word: str) -> str:
    return f"‹{word}›"


def _either(texts: list[str]) -> str:
    """Return one of several texts in braces; where one is empty, the others are there at times only."""
    told = list(dict.fromkeys(text for text in texts if text.strip()))
    if not told:
        return ""
    if len(told) == 1 and all(text.strip() for text in texts):
        return told[0]
    ahead = " " if all(text.startswith(" ") for text in told) else ""
    behind = " " if all(text.endswith(" ") for text in told) else ""
    return f"{ahead}{{{' / '.join(text.strip() for text in told)}}}{behind}"


_TALK = {
    "args": "value",
    "strerror": "reason",
    "msg": "reason",
    "ndim": "dimensions",
    "k": "label",
    "i": "row",
} | {
    "argmin": "row",
    "format_message": "what is wrong",
    "flatnonzero": "label",
    "where": "place",
}


def _word(node: ast.AST | None) -> str:
    """Return a word for the value of an expression."""
    if isinstance(node, ast.Name):
        return _plain(node.id)
    if isinstance(node, ast.Attribute):
        if node.attr in ("shape", "dtype", "size"):
            return node.attr
        return "type" if node.attr == "__name__" else _plain(node.attr)
    if isinstance(node, ast.Subscript):
        if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
            return _plain(node.slice.value)
        return _word(node.value)
    if isinstance(node, ast.Call):
        name = _called(node)
        if name == "len":
            return "number"
        inner = node.args[0] if node.args else None
        if name in {"str", "int", "float", "repr", "map", "sorted", "tuple", "list", "set", "abs"}:
            return _word(node.args[-1] if node.args else None)
        if isinstance(node.func, ast.Attribute) and name in {
            "split",
            "replace",
            "strip",
            "item",
            "ravel",
            "join",
        }:
            return _word(inner if name == "join" else node.func.value)
        return _plain(name)
    if isinstance(node, ast.BoolOp):
        return _word(node.values[0])
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return _word(node.generators[0].iter)
    if isinstance(node, ast.BinOp):
        return _word(node.left)
    if isinstance(node, ast.UnaryOp):
        return _word(node.operand)
    return "value"


def _plain(name: str) -> str:
    return _TALK.get(name, name.strip("_").replace("_", " ").lower()) or "value"


def _markdown(text: str) -> str:
    """Return a message as Markdown: its own marks escaped, its placeholders slanted."""
    return (
        re.sub(r"([\\`*_\[\]#|])", r"\\\1", escape(text, quote=False))
        .replace("‹", "<var>")
        .replace("›", "</var>")
    )


def room_of(file: str) -> str:
    """Return the room that a file belongs to: its folder, or its own name."""
    if file.startswith("data/datasets/"):
        return "datasets"
    return file.split("/", maxsplit=1)[0].removesuffix(".py")


def page(root: Path = ROOT) -> str:
    """Return the whole page."""
    messages = collect(root)
    titles = {source.path: source.title for source in sources(root)}
    rooms = {room_of(m.file) for m in messages}
    lines = [HEADER]
    for room in [*(room for room in ROOMS if room in rooms), *sorted(rooms - set(ROOMS))]:
        title, advice = ROOMS.get(room, (room.capitalize(), ""))
        lines += [f"## {title}", ""] + ([advice, ""] if advice else [])
        told: set[str] = set()
        for file in sorted({m.file for m in messages if room_of(m.file) == room}):
            here = [m.text for m in messages if m.file == file and m.text not in told]
            told.update(here)
            if here:
                if room != "datasets":
                    lines += [f"### {_markdown(_short(titles[file]))}", ""]
                lines += [FILES[file], ""] if file in FILES else []
                lines += [f"- {_markdown(text)}" for text in here]
                lines += [] if room == "datasets" else [""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _short(title: str) -> str:
    """Return a heading of a file's first sentence: what stands before its first stop."""
    return re.split(r"[:;(]|, (?!not )", title.replace("``", ""))[0].strip()


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        print(page(), end="")
    else:
        PAGE.write_text(page(), encoding="utf-8")
