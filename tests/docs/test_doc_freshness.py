"""Generated text is up to date, links lead somewhere, and the pages name what the code has."""

from __future__ import annotations

import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest
from doc_pages import PAGES, ROOT, all_blocks, prose

from nexus_engine import errors
from nexus_engine.cli.main import COMMANDS
from nexus_engine.contract.registry import build_registry
from nexus_engine.testing.reference import blocks, refresh

PLUGINS = ROOT / "plugins/nexus_plugins"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKERS = generator().makers(build_registry())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_generated_text_is_up_to_date(page: Path) -> None:
    text = page.read_text()
    assert refresh(text, MAKERS) == text, "run `make docs`"


def test_everything_that_can_be_generated_is_on_a_page() -> None:
    used = {name for page in PAGES for name in blocks(page.read_text())}
    without_options = {name for name, make in MAKERS.items() if make() == "No options."}
    assert set(MAKERS) - used - without_options == set()


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of a page's headings."""
    heads = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        file, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = (page.parent / file).resolve() if file else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_readme_or_the_index() -> None:
    links = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in (ROOT / "README.md", ROOT / "docs/index.md", *PLUGINS.rglob("README.md"))
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(page))
        if "://" not in link
    }
    assert [page for page in PAGES if page.name != "README.md" or page.parent != ROOT if page.resolve() not in links] == []


def test_the_error_tree_names_every_error() -> None:
    tree = (errors.__doc__ or "").split("::\n\n", 1)[1].split("\n\n", 1)[0]
    drawn = {}
    stack: list[tuple[int, str]] = []
    for line in tree.splitlines():
        match = re.match(r"^([│├└─\s]*)(\w+)", line)
        depth, name = len(match[1]), match[2]
        while stack and stack[-1][0] >= depth:
            stack.pop()
        drawn[name] = stack[-1][1] if stack else "Exception"
        stack.append((depth, name))
    classes = {name: cls.__bases__[0].__name__ for name, cls in vars(errors).items() if inspect.isclass(cls) and issubclass(cls, Exception)}
    assert drawn == classes


def test_the_files_that_architecture_names_are_there() -> None:
    named = re.findall(r"`([\w/]+/[\w/]*(?:\.py)?)`", prose(ROOT / "docs/architecture.md"))
    assert len(named) > 15
    roots = (ROOT, ROOT / "engine/nexus_engine")
    assert [path for path in named if path.split("/")[0] != "data" and not any((root / path).exists() for root in roots)] == []


def test_operating_shows_every_command_in_use() -> None:
    """In a console block that is run, or with its words in the text."""
    shown = "\n".join(block.text for block in all_blocks("console")) + "".join(prose(page) for page in PAGES)
    assert [name for name in COMMANDS if not re.search(rf"nexus-engine {name}\b", shown)] == []


def test_every_plugin_has_a_readme() -> None:
    folders = {ROOT / "plugins" / Path(*item.plugin.split(".")) for item in build_registry().all()}
    assert [folder for folder in sorted(folders) if not (folder / "README.md").exists()] == []
