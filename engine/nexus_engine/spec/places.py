"""Where templates may stand, and which names they may read there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

from nexus_engine.spec.report import SECRET_MISSING, Report
from nexus_engine.spec.spelling import nearest
from nexus_engine.spec.templates import KNOWN_NAMES, ROOTS, TemplateError, named, names
from nexus_engine.spec.tree import Listing, Node, Path, Scalar
from nexus_engine.spec.tree import Mapping as MappingNode

SECRET_OPTIONS: Final = frozenset(
    {"auth", "base_url", "body", "credentials", "endpoint", "headers", "json", "params", "password", "path", "token", "url", "user", "username"}
)
"""Options a secret may fill: connection, header, query, body. An option type adds its own with ``Meta(extra={"secret": True})``."""

FEED_ROOTS: Final = frozenset(ROOTS)
VALUE_ROOTS: Final = frozenset({"each", "run", "window", "vars", "feed"})
API_ROOTS: Final = frozenset({"run", "vars", "secrets", "feed"})
SINK_ROOTS: Final = frozenset({"vars", "secrets"})
_OTHER_WORDS: Final = {
    ("window", "begin"): "start", ("window", "from"): "start", ("window", "since"): "start", ("window", "first"): "start",
    ("window", "to"): "end", ("window", "until"): "end", ("window", "stop"): "end", ("window", "last"): "end",
    ("run", "started"): "started_at", ("run", "start"): "started_at", ("run", "time"): "started_at", ("run", "now"): "started_at",
    ("run", "run_id"): "id",
}  # fmt: skip
"""What other tools call a name, where it is not near enough."""


class Surroundings(Protocol):
    """What a file may refer to outside itself: the project. None of it is read from disk here."""

    @property
    def vars(self) -> Mapping[str, str]: ...
    @property
    def secrets(self) -> Mapping[str, Any]: ...
    @property
    def apis(self) -> Mapping[str, Any]: ...
    @property
    def sinks(self) -> Mapping[str, Any]: ...
    @property
    def broken(self) -> frozenset[str]:
        """Files that are there and wrong (`apis.d/fred`): their own problems are told with them, not again."""
        ...


class TemplateCheck:
    """Judges the templates of one file.

    Args:
        each: names of the feed's fan-out; None when they are not known (their block is broken) or the file has none.
        window: whether there is a window; None when that is not known.
        initial: whether the first window has a start.
    """

    def __init__(
        self, report: Report, project: Surroundings | None, *, each: frozenset[str] | None, window: bool | None, initial: bool = True
    ) -> None:
        self.report = report
        self.project = project
        self.each = each
        self.window = window
        self.initial = initial
        self.listing: frozenset[str] | None = None  # in a listing: the names of the feed, most of which are not known yet
        self._missing_secrets: set[str] = set()

    def knowing(self, each: Iterable[str]) -> TemplateCheck:
        """The same file, where only these `each` names are known and there is no window yet."""
        other = TemplateCheck(self.report, self.project, each=frozenset(each), window=None)
        other._missing_secrets, other.listing = self._missing_secrets, self.each or frozenset()
        return other

    def check(self, path: Path, node: Node, roots: frozenset[str], *, secrets: bool) -> None:
        """Every scalar under ``node``; keys are not rendered, so a template in a key is a problem."""
        if isinstance(node, Scalar):
            if "{{" in node.text:
                self._scalar(path, node.text, roots, secrets)
        elif isinstance(node, MappingNode):
            for key, entry in node.entries.items():
                if "{{" in key:
                    self.report.add((*path, key), "template-place", "keys are not rendered; templates stand in values", at_key=True)
                else:
                    self.check((*path, key), entry.value, roots, secrets=secrets)
        else:
            for i, item in enumerate(node.items):
                self.check((*path, i), item, roots, secrets=secrets)

    def _scalar(self, path: Path, text: str, roots: frozenset[str], secrets: bool) -> None:
        try:
            pairs = names(text)
        except TemplateError as error:
            self.report.add(path, "template", str(error), error.hint or self._meant(error.bare, roots), word=error.word)
            return
        for root, name in sorted(pairs):
            word = named(root, name)
            if root not in roots:
                listed = ", ".join(sorted(roots))
                hint = "a listing is asked before there is a window" if root == "window" and self.listing is not None else ""
                self.report.add(path, "template-name", f"`{root}` is not known in this place; known here: {listed}", hint, word=word)
            elif root == "secrets" and not secrets:
                message = "a secret may not stand here, only in params, headers, auth, body and the address"
                self.report.add(path, "secret-place", message, word=word)
            elif (root, name) == ("window", "start") and self.window and not self.initial and "default" not in text:
                message = "`window.start` has no value in the first run: `cursor` has no `initial`"
                self.report.add(path, "template-name", message, "give `initial`, or write {{ window.start | default('...') }}", word=word)
            else:
                self._name(path, root, name)

    def _meant(self, bare: str, roots: frozenset[str]) -> str:
        """The name under one of the roots that a name without a root is, or nearly is."""
        known = {name: f"{root}.{name}" for root in ROOTS if root in roots for name in self.known(root) or ()} if bare else {}
        near = known.get(bare) or known.get(nearest(bare, known), "")
        return f"did you mean `{near}`?" if near else ""

    def _name(self, path: Path, root: str, name: str) -> None:
        word = named(root, name)
        if root == "window" and self.window is False:
            self.report.add(path, "template-name", "there is no window: this feed has no `cursor`", word=word)
            return
        if root == "secrets":
            if self.project is not None and name not in self.project.secrets and name not in self._missing_secrets:
                self._missing_secrets.add(name)
                hint = f"set the environment variable {name}, or put it in .env"
                self.report.add(path, SECRET_MISSING, unset_words(name), hint, word=word)
            return
        known = self.known(root)
        if known is not None and name not in known:
            near = nearest(name, known) or _OTHER_WORDS.get((root, name), "")
            hint = f"did you mean `{root}.{near}`?" if near else self._listed(root, known)
            later = root == "each" and self.listing is not None and name in self.listing
            message = f"`{root}.{name[:60]}` is not known" + (" yet when this listing is asked" if later else "")
            self.report.add(path, "template-name", message, hint, word=word)

    def known(self, root: str) -> tuple[str, ...] | None:
        """The names under a root; None when they cannot be known."""
        if root == "each":
            return None if self.each is None else tuple(sorted(self.each))
        if root == "vars":
            return None if self.project is None else tuple(self.project.vars)
        return KNOWN_NAMES.get(root)

    def _listed(self, root: str, known: tuple[str, ...]) -> str:
        here = " in this listing" if root == "each" and self.listing is not None else ""
        if known:
            return f"known{here}: " + ", ".join(f"{root}.{name}" for name in known[:20])
        if here:
            return "a listing knows the names of `each` that stand before it, and none does"
        return {"each": "this feed has no `each`", "vars": "nexus.yaml has no `vars`"}.get(root, "")


def unset_words(secret: str) -> str:
    """The message of a secret that is not set."""
    return f"the secret {secret} is not set"


def scalars(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Every scalar below ``node`` with its path."""
    if isinstance(node, Scalar):
        yield path, node
    elif isinstance(node, MappingNode):
        for key, entry in node.entries.items():
            yield from scalars(entry.value, (*path, key))
    elif isinstance(node, Listing):
        for i, item in enumerate(node.items):
            yield from scalars(item, (*path, i))


def secret_options(options: type) -> frozenset[str]:
    """The options of a plugin that a secret may fill."""
    from msgspec import inspect

    from nexus_engine.spec.typeschema import fields_of

    found = set(SECRET_OPTIONS)
    for field in fields_of(options):
        if isinstance(field.type, inspect.Metadata) and (field.type.extra or {}).get("secret"):
            found.add(field.encode_name)
    return frozenset(found)
