"""Small wrong changes of a module's functions, one at a time: what a test ought to notice.

The changes are the usual ones (a comparison, an `and`, a constant, a result, a statement that is left out). Words that
a person reads are left as they are: what stands in an exception or in a call of `refuse` is nobody's decision.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any, Final

_COMPARED: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_COUNTED: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}
_CALLED: Final = {"any": "all", "all": "any", "min": "max", "max": "min"}
_SAID: Final = frozenset({"refuse", "PolicyProblem", "_unknown"})
_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _Change:
    """`holder.field` (or its element `place`) becomes `new`."""

    field: str
    place: int | None
    new: Any
    what: str


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: where, and what. `function` is the qualified name of what is changed; its place in the module is the
    `number` of the function among the module's nodes, and the `inner` number of the node among the function's."""

    function: str
    line: int
    what: str
    _module: ast.Module
    _number: int
    _inner: int
    _change: _Change

    def __str__(self) -> str:
        return f"{self.function}:{self.line}: {self.what}"

    @property
    def tree(self) -> ast.Module:
        """The module with the change."""
        return _with(self._module, self._number, self._inner, self._change)

    def code(self, file: str) -> CodeType:
        """The changed function's own code. Raises LookupError where it has none of that name."""
        code = compile(self.tree, file, "exec")
        for name in self.function.split("."):
            code = next(one for one in code.co_consts if isinstance(one, CodeType) and one.co_name == name)
        return code


def mutants(source: str) -> Iterator[Mutant]:
    """Every change of every function and method of a module, in order."""
    tree = ast.parse(source)
    names = {id(function): name for name, function in _functions(tree, "")}
    for number, node in enumerate(ast.walk(tree)):
        if isinstance(node, _Function) and id(node) in names:
            for inner, changed in enumerate(_body(node)):
                for change in _changes(changed):
                    where = getattr(changed, "lineno", node.lineno)
                    yield Mutant(names[id(node)], where, change.what, tree, number, inner, change)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, _Function]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Function):
            yield f"{prefix}{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")


def _body(function: _Function) -> Iterator[ast.AST]:
    """The nodes of a function that may be changed: not its docstring, its annotations or what it says to people."""
    yield function
    waiting: list[ast.AST] = [node for node in function.body if not _is_text(node)]
    while waiting:
        node = waiting.pop(0)
        yield node
        if not (isinstance(node, ast.Raise) or _speaks(node)):
            left_out = ("annotation", "returns")
            inner = (value for name, value in ast.iter_fields(node) if name not in left_out)
            waiting += [one for value in inner for one in _nodes(value)]


def _nodes(value: Any) -> list[ast.AST]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST)]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _speaks(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    return name in _SAID


def _with(tree: ast.Module, number: int, inner: int, change: _Change) -> ast.Module:
    changed = copy.deepcopy(tree)
    function = next(node for at, node in enumerate(ast.walk(changed)) if at == number)
    assert isinstance(function, _Function)
    holder = next(node for at, node in enumerate(_body(function)) if at == inner)
    if change.place is None:
        setattr(holder, change.field, change.new)
    else:
        getattr(holder, change.field)[change.place] = change.new
    return ast.fix_missing_locations(changed)


def _changes(node: ast.AST) -> Iterator[_Change]:
    for field, value in ast.iter_fields(node):
        if field in ("body", "orelse") and isinstance(value, list):
            yield from (change for place, one in enumerate(value) for change in _left_out(field, place, one))
    match node:
        case ast.Compare(ops=[op]) if type(op) in _COMPARED:
            new = _COMPARED[type(op)]
            yield _Change("ops", 0, new(), f"{type(op).__name__} is {new.__name__}")
        case ast.BoolOp(op=op):
            other = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield _Change("op", None, other, f"{type(op).__name__} is {type(other).__name__}")
        case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Constant):
            yield _Change("test", None, ast.UnaryOp(ast.Not(), test), "the condition is turned round")
        case ast.comprehension(ifs=[test]):
            yield _Change("ifs", 0, ast.UnaryOp(ast.Not(), test), "the filter is turned round")
            yield _Change("ifs", 0, ast.Constant(True), "the filter lets everything by")
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield _Change("operand", None, ast.UnaryOp(ast.Not(), operand), "not is gone")
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in _COUNTED:
            yield _Change("op", None, _COUNTED[type(op)](), f"{type(op).__name__} is another")
        case ast.Return(value=value) if value is not None and not _is_nothing(value):
            yield _Change("value", None, ast.Constant(None), "nothing is returned")
        case ast.Call(func=ast.Name(id=name)) if name in _CALLED:
            yield _Change("func", None, ast.Name(_CALLED[name], ast.Load()), f"{name} is {_CALLED[name]}")
        case ast.Constant(value=bool() as value):
            yield _Change("value", None, not value, f"{value} is {not value}")
        case ast.Constant(value=int() as value):
            yield _Change("value", None, value + 1, f"{value} is {value + 1}")
        case ast.Constant(value=str() as value) if value:
            yield _Change("value", None, value + "x", f"{value!r} is another")


def _left_out(field: str, place: int, statement: ast.AST) -> Iterator[_Change]:
    if isinstance(statement, ast.Continue):
        yield _Change(field, place, ast.Break(), "continue is break")
    elif isinstance(statement, ast.Break):
        yield _Change(field, place, ast.Continue(), "break is continue")
    elif isinstance(statement, ast.Expr | ast.AugAssign | ast.Raise) and not _is_text(statement):
        yield _Change(field, place, ast.Pass(), f"left out: {ast.unparse(statement)[:60]}")


def _is_nothing(node: ast.AST) -> bool:
    """None, or False, which nobody who asks whether it's so tells from it: that becomes True by a change of its own."""
    return isinstance(node, ast.Constant) and (node.value is None or node.value is False)
