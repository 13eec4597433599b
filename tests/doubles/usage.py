"""Finds the TensorRT or pycuda names that Python code uses, and for which versions, from syntax tree and signatures.

Types are tracked from the name `trt` (pycuda: `driver` and `primary`) through assignments, calls and parameters, by
variable name across all given files. Code guarded by `hasattr` counts only for the versions that have the name.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.doubles.api import PYCUDA, VERSIONS, load

MODULE = "trt"
DRIVER = "driver"
MODULES = (MODULE, DRIVER)
EVERY = (*VERSIONS, PYCUDA)
# Variables that hold a module initially.
PRIMARY = "autoprimaryctx"
TENSORRT_ROOTS = {MODULE: MODULE}
PYCUDA_ROOTS = {DRIVER: DRIVER, "primary": PRIMARY}
# Overloaded in every version, so no signature is recorded.
OVERLOADED = {"Runtime.deserialize_cuda_engine": "ICudaEngine"}
# Possible types of an expression: names of TensorRT's classes, or MODULE.
Types = frozenset[str]
NOTHING: Types = frozenset()


@dataclass(frozen=True)
class Use:
    """An attribute. owner: a class or MODULE; "" if the type is unknown. call: the call of the attribute, if any."""

    place: str
    owner: str
    name: str
    versions: frozenset[str]
    call: ast.Call | None = None

    def problems(self) -> list[str]:
        found = {version: self._problem(version) for version in sorted(self.versions)}
        return [f"{self.place}: {self.owner}.{self.name} {why} in {version}" for version, why in found.items() if why]

    def _problem(self, version: str) -> str:
        api = load(version)
        if not self.owner:
            # A multi-word name that TensorRT has must be TensorRT's: the type tracking missed it.
            offered = any(self.name in members for members in api.members.values())
            return "is of an unknown class" if offered and "_" in self.name else ""
        if not has(version, self.owner, self.name):
            return "is missing"
        signature = api.signatures.get(f"{self.owner}.{self.name}")
        if self.call is None or signature is None or signature.parameters is None:
            return ""
        unknown = {keyword.arg for keyword in self.call.keywords} - {*signature.parameters, None}
        too_many = len(self.call.args) > len(signature.parameters)
        return f"takes {', '.join(signature.parameters)}" if unknown or too_many else ""


def has(version: str, owner: str, name: str) -> bool:
    """Whether a version's class, or the module itself, has a name. Classes known by name only have every name."""
    api = load(version)
    if name.startswith("__"):
        return True
    if owner in MODULES:
        return name in api.names
    return (owner in api.names or owner in api.members) and name in api.members.get(owner, {name})


def _returned(owner: str, method: str) -> Types:
    """The class that a method returns, by the first version that recorded it."""
    full = f"{owner}.{method}"
    for version in EVERY:
        signature = load(version).signatures.get(full)
        if signature is not None and signature.returns:
            # The parser's classes are named without the I of their C++ names.
            names = {signature.returns, signature.returns.removeprefix("I")}
            return frozenset(name for name in names if any(name in load(v).members for v in EVERY))
    return frozenset({OVERLOADED[full]}) if full in OVERLOADED else NOTHING


def _is_class(name: str) -> bool:
    # pycuda's enums are lower case.
    return name[0].isupper() or any(name in load(version).members for version in EVERY)


def _property(owner: str, name: str) -> Types:
    """The class of a module attribute that is an object, such as pycuda's primary context."""
    return _returned(owner, name) if owner == PRIMARY else NOTHING


def uses_of(files: Iterable[Path], versions: Iterable[str]) -> list[Use]:
    """Every attribute in the files. versions: the supported versions of TensorRT or pycuda."""
    roots = PYCUDA_ROOTS if PYCUDA in versions else TENSORRT_ROOTS
    reader = _Reader(
        {f"{file.parent.name}/{file.name}": ast.parse(file.read_text(encoding="utf-8")) for file in files}, roots
    )
    return list(reader.uses(frozenset(versions)))


class _Reader:
    def __init__(self, trees: dict[str, ast.Module], roots: dict[str, str]) -> None:
        self.trees, self.roots = trees, roots
        self.types: dict[str, Types] = defaultdict(frozenset)
        self.types |= {name: frozenset({owner}) for name, owner in roots.items()}
        self.returns: dict[str, list[Types]] = {}
        self.parameters: dict[str, list[str]] = {}
        self.calls: dict[ast.expr, ast.Call] = {}
        nodes = [node for tree in trees.values() for node in ast.walk(tree)]
        for node in nodes:
            self._note_definition(node)
        # Types propagate one assignment or call per round.
        for _ in range(8):
            for node in nodes:
                self._note_types(node)

    def _note_definition(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef):
            self.parameters[node.name] = [p.arg for p in node.args.args if p.arg != "self"]
        elif isinstance(node, ast.Call):
            self.calls[node.func] = node
        elif isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__init__":
                    self.parameters[node.name] = [p.arg for p in method.args.args[1:]]
                elif isinstance(method, ast.AnnAssign) and isinstance(method.target, ast.Name):
                    # A dataclass has no explicit constructor.
                    self.parameters.setdefault(node.name, []).append(f"self.{method.target.id}")

    def _note_types(self, node: ast.AST) -> None:
        if isinstance(node, ast.Assign):
            found = self._read(node.value)
            for target in node.targets:
                # All items of a list have the same type.
                if isinstance(node.value, ast.ListComp) and isinstance(target, ast.Tuple):
                    self._bind(target, found * len(target.elts))
                else:
                    self._bind(target, found)
        elif isinstance(node, (ast.For, ast.comprehension)):
            self._bind(node.target, self._read(node.iter))
        elif isinstance(node, ast.FunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None:
                    self.returns[node.name] = _merged(self.returns.get(node.name, []), self._read(inner.value))
        elif isinstance(node, ast.Call):
            names = self.parameters.get(_last_name(node.func), [])
            given = [*zip(names, node.args, strict=False), *((k.arg, k.value) for k in node.keywords)]
            for name, value in given:
                self.types[str(name)] |= self._read(value)[0]

    def _bind(self, target: ast.expr, found: list[Types]) -> None:
        if isinstance(target, ast.Tuple) and len(found) == len(target.elts):
            for element, types in zip(target.elts, found, strict=True):
                self._bind(element, [types])
        elif len(found) == 1 and _variable(target):
            self.types[_variable(target)] |= found[0]

    def _read(self, node: ast.expr) -> list[Types]:
        """Possible types of an expression: one item, or one for each element of a tuple."""
        if isinstance(node, ast.Tuple):
            return [self._read(element)[0] for element in node.elts] or [NOTHING]
        if isinstance(node, ast.IfExp):
            return [self._read(node.body)[0] | self._read(node.orelse)[0]]
        if isinstance(node, (ast.Subscript, ast.Starred)):
            return self._read(node.value)
        if isinstance(node, ast.ListComp):
            return self._read(node.elt)
        if isinstance(node, ast.Call):
            return self._result(node.func)
        if _variable(node):
            return [self.types[_variable(node)]]
        if isinstance(node, ast.Attribute):
            if node.attr in self.roots:
                return [frozenset({self.roots[node.attr]})]
            owners = self._read(node.value)[0]
            properties = frozenset().union(*(_property(owner, node.attr) for owner in owners))
            if properties:
                return [properties]
            # trt.DataType is a class; trt.DataType.UINT8 is one of its instances.
            enums = frozenset(owner for owner in owners if any(owner in load(v).enums for v in EVERY))
            return [frozenset({node.attr}) if owners & set(MODULES) and _is_class(node.attr) else enums]
        return [NOTHING]

    def _result(self, function: ast.expr) -> list[Types]:
        owners = self._read(function.value)[0] if isinstance(function, ast.Attribute) else NOTHING
        name = _last_name(function)
        if owners & set(MODULES) and _is_class(name):
            return [frozenset({name})]
        if owners:
            return [frozenset().union(*(_returned(owner, name) for owner in owners))]
        return self.returns.get(name, [NOTHING])

    def uses(self, versions: frozenset[str]) -> Iterator[Use]:
        for file, tree in self.trees.items():
            yield from self._uses_in(file, tree.body, versions)

    def _uses_in(self, file: str, part: Any, versions: frozenset[str]) -> Iterator[Use]:
        if isinstance(part, list):
            for item in part:
                yield from self._uses_in(file, item, versions)
                if isinstance(item, ast.If) and isinstance(item.body[-1], (ast.Return, ast.Raise, ast.Continue)):
                    versions = self._split(item.test, versions)[1]
        elif isinstance(part, ast.AST):
            if isinstance(part, ast.Attribute):
                for owner in self._read(part.value)[0] or {""}:
                    yield Use(f"{file}:{part.lineno}", owner, part.attr, versions, self.calls.get(part))
            branches = {}
            if isinstance(part, (ast.If, ast.IfExp)):
                branches = dict(zip(("body", "orelse"), self._split(part.test, versions), strict=True))
            for field, value in ast.iter_fields(part):
                yield from self._uses_in(file, value, branches.get(field, versions))

    def _split(self, test: ast.expr, versions: frozenset[str]) -> tuple[frozenset[str], frozenset[str]]:
        """The versions in which a condition can hold, and those in which it can fail, according to `hasattr`."""
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            having, lacking = self._split(test.operand, versions)
            return lacking, having
        if isinstance(test, ast.Call) and _last_name(test.func) == "hasattr" and isinstance(test.args[1], ast.Constant):
            name, owners = str(test.args[1].value), self._read(test.args[0])[0]
            having = frozenset(v for v in versions if any(has(v, owner, name) for owner in owners))
            return having, versions - having
        return versions, versions


def _variable(node: ast.expr) -> str:
    """`name` of a variable, `self.name` of an instance attribute; empty for other expressions."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return f"self.{node.attr}"
    return ""


def _last_name(function: ast.expr) -> str:
    return getattr(function, "attr", "") or getattr(function, "id", "")


def _merged(known: list[Types], found: list[Types]) -> list[Types]:
    if len(known) != len(found):
        return max(known, found, key=len)
    return [old | new for old, new in zip(known, found, strict=True)]
