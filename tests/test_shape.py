"""Files, functions and signatures stay short, and tests bend nothing inside the product: what they need is a parameter."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = [path for room in ("facenas", "exporters", "latency_tables") for path in sorted((ROOT / room).rglob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
FILE_LINES, FUNCTION_LINES, PARAMETERS = 400, 60, 8

Function = ast.FunctionDef | ast.AsyncFunctionDef


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions() -> Iterator[tuple[str, Function]]:
    """Every function of the product, those in classes and functions too, as `file: name`."""
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                yield f"{name_of(path)}: {node.name}", node


def parameters_of(function: Function) -> list[ast.arg]:
    """Without `self` and `cls`, which no caller writes."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    return [*positional[positional[:1] != [] and positional[0].arg in ("self", "cls") :], *given.kwonlyargs]


def is_verb(function: Function) -> bool:
    """Whether typer makes a command of it: its parameters are the options."""
    options = (ast.unparse(argument.annotation) for argument in parameters_of(function) if argument.annotation)
    return any(option.startswith("Annotated[") for option in options)


def test_files_are_short() -> None:
    assert PRODUCT
    assert not [name_of(path) for path in PRODUCT if len(path.read_text(encoding="utf-8").splitlines()) > FILE_LINES]


def lines_of(function: Function) -> int:
    """From `def` to the end; of a verb without its options."""
    first = function.body[0].lineno if is_verb(function) else function.lineno
    assert function.end_lineno is not None
    return function.end_lineno - first + 1


def test_functions_are_short() -> None:
    assert not [name for name, function in functions() if lines_of(function) > FUNCTION_LINES]


def test_signatures_are_narrow() -> None:
    assert not [name for name, each in functions() if len(parameters_of(each)) > PARAMETERS and not is_verb(each)]


def patches_of(tree: ast.Module) -> Iterator[str]:
    """Where a test file puts something in the place of what facenas defines: by `setattr` or `setitem`, or by assignment.

    A name that is imported from facenas may be a module, a class or a function; nothing of them may be set.
    """
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    ours = {
        alias.asname or (alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name)
        for node in imports
        for alias in node.names
        if (getattr(node, "module", None) or alias.name).partition(".")[0] == "facenas"
    }

    def is_ours(target: ast.expr) -> bool:
        if isinstance(target, ast.Constant):
            return isinstance(target.value, str) and target.value.partition(".")[0] == "facenas"
        while isinstance(target, ast.Attribute | ast.Subscript):
            target = target.value
        return isinstance(target, ast.Name) and target.id in ours

    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
            targets = node.args[:1] if called in ("setattr", "delattr", "setitem", "delitem", "patch", "object") else []
        elif isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
            assigned = node.targets if isinstance(node, ast.Assign) else [node.target]
            targets = [target for target in assigned if isinstance(target, ast.Attribute | ast.Subscript)]
        else:
            continue
        if any(map(is_ours, targets)):
            yield f"{node.lineno}: {ast.unparse(node)}"


@pytest.mark.parametrize(
    "patch",
    [
        "monkeypatch.setattr(loop, 'SECONDS', 0)",
        "monkeypatch.setattr(loop.time, 'sleep', print)",
        "monkeypatch.setattr('facenas.training.loop.SECONDS', 0)",
        "monkeypatch.setitem(loop.TABLE, 'a', 1)",
        "patch.object(loop, 'run')",
        "loop.SECONDS = 0",
    ],
)
def test_a_patch_is_noticed(patch: str) -> None:
    assert list(patches_of(ast.parse(f"from facenas.training import loop\n{patch}")))
    assert not list(patches_of(ast.parse(f"from helpers import loop\n{patch.replace('facenas.', 'os.')}")))


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_nothing_of_the_product_is_patched(path: Path) -> None:
    found = [f"{name_of(path)}:{patch}" for patch in patches_of(ast.parse(path.read_text(encoding="utf-8")))]
    assert not found
