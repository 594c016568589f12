"""The rooms of the core import only rooms above them; plugins see the public door; files stay readable in one sitting."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "engine/nexus_engine"
PLUGINS = ROOT / "plugins/nexus_plugins"

# From top to bottom; rooms on one line are siblings that do not import each other either.
ORDER = (
    ("errors", "events"),
    ("contract",),
    ("clickhouse",),
    ("spec",),
    ("project",),
    ("compile",),
    ("state",),
    ("host",),
    ("deliver",),
    ("service",),
    ("testing",),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
FOR_PLUGINS = {"errors", "events", "contract", "clickhouse", "host"}
FORBIDDEN_NAMES = ("utils", "util", "helpers", "helper", "manager", "base", "common", "misc")
LONG, TOO_LONG = 400, 450


def modules(root: Path) -> list[Path]:
    return sorted(root.rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a file imports, inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the whole name"
            for name in node.names:
                yield node.lineno, f"{node.module}.{name.name}"


def room_of(dotted: str) -> str:
    """`nexus_engine.spec.loader.x` -> `spec`; empty for the package itself."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else ""


def forward_imports(core: Path) -> list[str]:
    """Every import of a room that is not above the importing one."""
    wrong = []
    for path in modules(core):
        room = path.relative_to(core).parts[0].removesuffix(".py")
        if room == "__init__":
            continue
        for line, name in imports(path):
            if not name.startswith("nexus_engine."):
                continue
            other = room_of(name)
            if other in LEVEL and other != room and LEVEL[other] >= LEVEL[room]:
                wrong.append(f"{path}:{line}: {room} imports {name}, which stands below it")
    return wrong


def test_every_room_has_its_place() -> None:
    rooms = {p.name.removesuffix(".py") for p in CORE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()}
    assert rooms - {"__init__", "__main__"} == set(LEVEL)


def test_rooms_import_only_rooms_above_them() -> None:
    assert not forward_imports(CORE)


def test_a_forward_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "spec").mkdir()
    (tmp_path / "spec/loader.py").write_text("def f():\n    from nexus_engine.cli import main\n")
    assert [line.split(": ", 1)[1] for line in forward_imports(tmp_path)] == [
        "spec imports nexus_engine.cli.main, which stands below it"
    ]


def test_the_core_knows_plugins_only_by_their_list() -> None:
    found = [(str(p.relative_to(CORE)), name) for p in modules(CORE) for _, name in imports(p) if name.startswith("nexus_plugins")]
    assert [entry for entry in found if entry != ("contract/registry.py", "nexus_plugins.BUILTINS")] == []


def test_plugins_use_the_public_door_and_do_not_know_each_other() -> None:
    wrong = []
    for path in modules(PLUGINS):
        parts = path.relative_to(PLUGINS).parts
        own = ".".join(("nexus_plugins", *parts[:2])).removesuffix(".py").removesuffix(".__init__")
        for line, name in imports(path):
            room = room_of(name) if name.startswith("nexus_engine.") else ""
            inside = room in LEVEL and room not in FOR_PLUGINS  # what is no room is a public name of the package itself
            foreign = name.startswith("nexus_plugins.") and not name.startswith(own) and len(parts) > 1
            if inside or foreign:
                wrong.append(f"{path}:{line}: {name}")
    assert not wrong


@pytest.mark.parametrize("root", [CORE, PLUGINS], ids=["core", "plugins"])
def test_names_say_what_is_inside(root: Path) -> None:
    assert [p for p in modules(root) if p.stem in FORBIDDEN_NAMES or p.parent.name in FORBIDDEN_NAMES] == []


@pytest.mark.parametrize("root", [CORE, PLUGINS], ids=["core", "plugins"])
def test_files_stay_short(root: Path) -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in modules(root)}
    for name, lines in lengths.items():
        if lines > LONG:
            warnings.warn(f"{name} has {lines} lines: the room wants a wall", stacklevel=1)
    assert {name: lines for name, lines in lengths.items() if lines > TOO_LONG} == {}
