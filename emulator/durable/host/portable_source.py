"""Finds in the source of a program what the platform would refuse or not call: before it happens, by file and line.

Two things can be read off: randomness while a module is imported, and names in snake_case where a module that imports
the platform's SDK needs the camelCase ones. Reading guesses at what things are, and says nothing where it is not sure.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from durable.sdk.aliases import SNAKE_TO_CAMEL

SDK_MODULES: Final = frozenset({"workers", "js", "pyodide"})
HANDLERS: Final = frozenset({"web_socket_message", "web_socket_close", "web_socket_error"})
MEMBERS: Final = frozenset(
    {
        # namespaces and ids
        "id_from_name",
        "id_from_string",
        "new_unique_id",
        "get_by_name",
        # ctx
        "wait_until",
        "block_concurrency_while",
        "accept_web_socket",
        "get_web_sockets",
        "pass_through_on_exception",
        "set_web_socket_auto_response",
        "get_web_socket_auto_response",
        "get_web_socket_auto_response_timestamp",
        "set_hibernatable_web_socket_event_timeout",
        "get_hibernatable_web_socket_event_timeout",
        # storage
        "delete_all",
        "transaction_sync",
        "get_alarm",
        "set_alarm",
        "delete_alarm",
        "database_size",
        "to_array",
        "get_current_bookmark",
        "get_bookmark_for_time",
        "on_next_session_restore_bookmark",
        "column_names",
        "rows_read",
        "rows_written",
        # sockets and alarms
        "serialize_attachment",
        "deserialize_attachment",
        "add_event_listener",
        "remove_event_listener",
        "ready_state",
        "binary_type",
        "was_clean",
        "retry_count",
        "is_retry",
        "scheduled_time",
    }
)
"""Members of objects that are JavaScript's own on the platform. `Request`, `Response` and what they hold are wrapped
by the SDK, whose names are in snake_case there, too."""
OPTIONS: Final = frozenset(
    ["start_after", "allow_concurrency", "allow_unconfirmed", "no_cache", "location_hint", "retry_alarm"]
)
"""Keywords that become the names of options, and are not known there."""

_ALWAYS_RANDOM: Final = frozenset({"os.urandom", "os.getrandom", "uuid.uuid1", "uuid.uuid4"})
_RANDOM_MODULES: Final = ("random.", "secrets.", "numpy.random.")
_SEEDED: Final = frozenset({"random.Random", "numpy.random.default_rng"})
"""Portable with a seed."""
_NOT_RANDOM: Final = frozenset({"random.SystemRandom", "secrets.compare_digest"})
_MAY_BE_RANDOM: Final = re.compile(r"\b(?:random|secrets|urandom|getrandom|uuid1|uuid4)\b")
_MAY_BE_SNAKE: Final = re.compile(r"\b(?:" + "|".join(sorted(HANDLERS | MEMBERS | OPTIONS)) + r")\b")
_MAY_IMPORT_SDK: Final = re.compile(
    rf"^\s*(?:from|import)\s[^#\n]*\b(?:{'|'.join(sorted(SDK_MODULES))})\b", re.MULTILINE
)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` the code at this line does, which is of a kind that `durable.actor.portability` knows."""

    file: str
    line: int
    kind: str
    what: str


def findings(sources: Mapping[str, str]) -> list[Finding]:
    """What the modules of a project, path → text, do; in the order of files and lines. Texts that do not parse are
    passed over."""
    snakes = {file for file, text in sources.items() if _MAY_BE_SNAKE.search(text)}
    if not any(_MAY_IMPORT_SDK.search(sources[file]) for file in snakes):
        snakes.clear()
    trees: dict[str, ast.Module] = {}
    for file, text in sources.items():
        # Most have nothing of either, and parsing is what takes long.
        if file in snakes or _MAY_BE_RANDOM.search(text):
            try:
                trees[file] = ast.parse(text)
            except (SyntaxError, ValueError, RecursionError):
                continue
    own = {name for tree in trees.values() for name in _defined(tree)}
    found: dict[Finding, None] = {}
    for file, tree in trees.items():
        aliases = _imported(tree)
        random = _Random(aliases, tree)
        lines = [(line, "import-random", what) for line, what in random.at_import(tree.body)]
        if any(origin.partition(".")[0] in SDK_MODULES for origin in aliases.values()):
            lines += [(line, "snake-case", what) for line, what in _snake(tree, own, aliases)]
        found.update(dict.fromkeys(Finding(file, *line) for line in sorted(lines)))
    return list(found)


def _imported(tree: ast.Module) -> dict[str, str]:
    """Name in the module → what it was imported from: `{"rnd": "random", "uuid4": "uuid.uuid4"}`."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                top = name.name.partition(".")[0]
                aliases[name.asname or top] = name.name if name.asname else top
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            aliases.update({name.asname or name.name: f"{node.module}.{name.name}" for name in node.names})
    return aliases


def _defined(tree: ast.Module) -> Iterator[str]:
    """Names of the project's own: what it calls by them is not the platform's."""
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS) and node.name not in HANDLERS:
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


# --- randomness -------------------------------------------------------------------------------------------------------
class _Random:
    """Which calls of one module ask for randomness, by themselves or by way of a function of the same module."""

    def __init__(self, aliases: Mapping[str, str], tree: ast.Module) -> None:
        self._aliases = aliases
        self._functions: dict[str, str] = {}
        """Function, or class that is made, of this module → what it asks."""
        bodies = {name: body for node in tree.body for name, body in _called_body(node)}
        while True:
            known = len(self._functions)
            for name, body in bodies.items():
                if name not in self._functions:
                    asked = next((what for _, what in self._calls(body)), None)
                    if asked is not None:
                        self._functions[name] = asked
            if len(self._functions) == known:
                return

    def at_import(self, body: list[ast.stmt]) -> Iterator[tuple[int, str]]:
        """Line and text of what runs while the module is imported."""
        for line, asked in self._calls(body):
            yield line, f"{asked} is called while the module is imported"

    def _calls(self, nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
        for node in _running(nodes):
            if isinstance(node, ast.Call):
                name = _dotted(node.func, self._aliases)
                if _is_random(name, has_arguments=bool(node.args or node.keywords)):
                    yield node.lineno, f"{name}()"
                elif isinstance(node.func, ast.Name) and node.func.id in self._functions:
                    yield node.lineno, self._functions[node.func.id]


def _called_body(node: ast.stmt) -> Iterator[tuple[str, list[ast.stmt]]]:
    """What runs when the name that a statement defines is called. A coroutine does not run by that."""
    if isinstance(node, ast.FunctionDef):
        yield node.name, node.body
    elif isinstance(node, ast.ClassDef):
        for member in node.body:
            if isinstance(member, ast.FunctionDef) and member.name == "__init__":
                yield node.name, member.body


def _running(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """The nodes that run when these do: not the inside of functions, nor what is for a script or for type checkers."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            waiting += [*node.args.defaults, *[default for default in node.args.kw_defaults if default]]
            if not isinstance(node, ast.Lambda):
                waiting += node.decorator_list
        elif isinstance(node, ast.If) and _is_never_imported(node.test):
            waiting += node.orelse
        else:
            yield node
            waiting += ast.iter_child_nodes(node)


def _is_never_imported(test: ast.expr) -> bool:
    """`if TYPE_CHECKING:` and `if __name__ == "__main__":`."""
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    return "TYPE_CHECKING" in names or "__name__" in names


def _is_random(name: str, *, has_arguments: bool) -> bool:
    if name in _SEEDED:
        return not has_arguments
    return name in _ALWAYS_RANDOM or (name.startswith(_RANDOM_MODULES) and name not in _NOT_RANDOM)


def _dotted(node: ast.expr, aliases: Mapping[str, str]) -> str:
    """`numpy.random.rand` for `np.random.rand`; empty for what no import leads to."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in aliases:
        return ""
    return ".".join([aliases[node.id], *reversed(parts)])


# --- names ------------------------------------------------------------------------------------------------------------
def _snake(tree: ast.Module, own: set[str], aliases: Mapping[str, str]) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.bases:
            for member in node.body:
                if isinstance(member, _FUNCTIONS) and member.name in HANDLERS:
                    yield member.lineno, f"{node.name} defines {member.name}, and not {SNAKE_TO_CAMEL[member.name]}"
        elif isinstance(node, ast.Attribute) and node.attr in MEMBERS and node.attr not in own:
            # `workers.wait_until` is spelled like this.
            if not _dotted(node, aliases).startswith("workers."):
                yield node.end_lineno or node.lineno, f".{node.attr} is used, and not .{SNAKE_TO_CAMEL[node.attr]}"
        elif isinstance(node, ast.keyword) and node.arg in OPTIONS:
            yield node.lineno, f"{node.arg}= is given, and not {SNAKE_TO_CAMEL[node.arg]}="
