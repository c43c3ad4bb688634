"""The hand-written stub names what the module has, with the same arguments."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import worker_native
from worker_native import _native

STUB = ast.parse((Path(worker_native.__file__).parent / "_native.pyi").read_text())
CLASSES = {node.name: node for node in STUB.body if isinstance(node, ast.ClassDef)}
FUNCTIONS = {node.name: node for node in STUB.body if isinstance(node, ast.FunctionDef)}
NUMBERS = {
    node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
}
METHODS = [
    (name, method)
    for name, node in CLASSES.items()
    for method in node.body
    if isinstance(method, ast.FunctionDef) and not method.decorator_list
]
PROPERTIES = [
    (name, method.name)
    for name, node in CLASSES.items()
    for method in node.body
    if isinstance(method, ast.FunctionDef) and method.decorator_list
]

Argument = tuple[str, bool, bool]  # name, keyword-only, has a default


def arguments(node: ast.FunctionDef) -> list[Argument]:
    required = len(node.args.args) - len(node.args.defaults)
    plain = [(a.arg, False, i >= required) for i, a in enumerate(node.args.args)]
    keywords = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return plain + [(a.arg, True, default is not None) for a, default in keywords]


def arguments_of(function: Any) -> list[Argument]:
    """From nanobind's own signature, in which `\\1` stands for a default value."""
    ((signature, *_),) = function.__nb_signature__
    source = re.sub(r"\\\d+", "None", re.sub(r"ndarray\[[^\]]*\]", "ndarray", signature))
    (node,) = ast.parse(f"{source}: ...").body
    assert isinstance(node, ast.FunctionDef)
    return arguments(node)


@pytest.mark.parametrize(("owner", "method"), METHODS, ids=lambda v: getattr(v, "name", v))
def test_methods_agree(owner: str, method: ast.FunctionDef) -> None:
    assert arguments_of(getattr(getattr(_native, owner), method.name)) == arguments(method)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_agree(name: str) -> None:
    assert arguments_of(getattr(_native, name)) == arguments(FUNCTIONS[name])


@pytest.mark.parametrize(("owner", "name"), PROPERTIES)
def test_properties_exist(owner: str, name: str) -> None:
    assert isinstance(getattr(_native, owner).__dict__[name], property)


def test_nothing_is_missing_from_the_stub() -> None:
    public = {name for name in dir(_native) if not name.startswith("_")}
    assert all(type(getattr(_native, name)) is int for name in NUMBERS)
    assert public == CLASSES.keys() | FUNCTIONS.keys() | NUMBERS == set(worker_native.__all__)
    for name, node in CLASSES.items():
        listed = {m.name for m in node.body if isinstance(m, ast.FunctionDef)} | {"__repr__"}
        listed |= {m.target.id for m in node.body if isinstance(m, ast.AnnAssign) and isinstance(m.target, ast.Name)}
        assert {n for n in vars(getattr(_native, name)) if not n.startswith("_")} <= listed
