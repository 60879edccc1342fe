"""What little can be wrong with a source file?"""

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Trail: TypeAlias = tuple[ast.AST, ...]
"""A node and all that it is part of, the module first."""
Change: TypeAlias = tuple[ast.AST, str, Any]
"""(node, field, new value)"""

OTHERS: Final[dict[type[ast.AST], tuple[type[ast.AST], ...]]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.And: (ast.Or,),
    ast.Or: (ast.And,),
    ast.USub: (ast.UAdd,),
}
CALLED: Final = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
EMPTY: Final[dict[str, Any]] = {"str": "", "float": 0.0, "int": 0, "bool": False}
SILENT: Final = (ast.JoinedStr, ast.Raise, ast.Assert)  # words, and what never happens
PLAIN: Final = (ast.Name, ast.Attribute, ast.Call, ast.NamedExpr, ast.Subscript)  # conditions without an operator
UNREAD: Final = ("annotation", "returns", "decorator_list")
LONGEST: Final = 90  # characters by which a change is told


@dataclass(frozen=True, slots=True)
class Mutant:
    """A source file with one change."""

    file: str
    line: int
    function: str
    """Its qualified name; empty at the top of the module."""
    before: str
    """What was changed, with what is around it; with #2 where the same change is made there the second time."""
    after: str
    source: str
    """Of the whole file."""


def mutants(file: str, source: str, words: tuple[str, ...] = ()) -> Iterator[Mutant]:
    """Yield all changes of a file, but for functions that only choose words."""
    tree = ast.parse(source)
    plain = ast.unparse(tree)
    seen: Counter[tuple[str, str, str]] = Counter()
    for trail in _trails(tree, ()):
        names = [one.name for one in trail if isinstance(one, ast.FunctionDef | ast.ClassDef)]
        function, line = ".".join(names), getattr(trail[-1], "lineno", 0)
        if any(name in words for name in names):
            continue
        around, before = _around(trail)
        for node, field, value in _changes(trail):
            old = getattr(node, field)
            setattr(node, field, value)
            after, changed = _head(around), ast.unparse(tree)
            setattr(node, field, old)
            if changed == plain:
                continue  # 1 more than 1e300 is 1e300
            seen[function, before, after] += 1
            times = seen[function, before, after]
            yield Mutant(file, line, function, before if times == 1 else f"{before}  #{times}", after, changed)


def _trails(node: ast.AST, above: Trail) -> Iterator[Trail]:
    """Yield every node that may be changed."""
    trail = (*above, node)
    if isinstance(node, SILENT) or (isinstance(node, ast.keyword) and node.arg == "strict"):
        return
    yield trail
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and name not in UNREAD:
                yield from _trails(child, trail)


def _changes(trail: Trail) -> Iterator[Change]:
    """Yield other operators and values."""
    node = trail[-1]
    match node:
        case ast.Compare(ops=ops):
            for place, op in enumerate(ops):
                yield from ((node, "ops", [*ops[:place], one(), *ops[place + 1 :]]) for one in OTHERS[type(op)])
        case ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op) | ast.UnaryOp(op=op) if type(op) in OTHERS:
            yield from ((node, "op", one()) for one in OTHERS[type(op)])
        case ast.Constant(value=bool(value)):
            yield node, "value", not value
        case ast.Constant(value=int(value) | float(value)):
            yield node, "value", value + 1
        case ast.Name(id=name) if name in CALLED:
            yield node, "id", CALLED[name]
        case ast.Attribute(attr=name) if name in CALLED:
            yield node, "attr", CALLED[name]
        case _:
            yield from _turns(trail)


def _turns(trail: Trail) -> Iterator[Change]:
    """Yield conditions turned round, and functions that return nothing."""
    node = trail[-1]
    match node:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield node, "operand", ast.UnaryOp(ast.Not(), operand)
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) if isinstance(test, PLAIN):
            yield node, "test", ast.UnaryOp(ast.Not(), test)
        case ast.comprehension(ifs=[test]) if isinstance(test, PLAIN):
            yield node, "ifs", [ast.UnaryOp(ast.Not(), test)]
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            function = next(one for one in reversed(trail) if isinstance(one, ast.FunctionDef))
            returned = ast.unparse(function.returns) if function.returns else ""
            yield node, "value", ast.Constant(EMPTY.get(returned))


def _around(trail: Trail) -> tuple[ast.AST, str]:
    """Return the largest part of a statement around a node that can be told in a line, and how it reads."""
    told = trail[-1]
    for node in reversed(trail):
        if not isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.arguments | ast.comprehension):
            continue
        if len(_head(node)) > LONGEST and isinstance(told, ast.expr | ast.stmt):
            break
        told = node
        if isinstance(node, ast.stmt):
            break
    return told, _head(told)


def _head(node: ast.AST) -> str:
    """Return how a node reads; of a compound statement its first line."""
    return ast.unparse(node).partition("\n")[0].strip()
