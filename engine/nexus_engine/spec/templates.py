"""Templates in scalars: ``{{ root.name | filter }}``. Rendered after YAML is parsed, from plain values, in a sandbox.

What is allowed is listed, not what is forbidden: names of the roots below, constants, filters of ``spec.filters``, `~`, `+`,
`-` and conditions. No loops, calls, macros, attributes of attributes, and no output over 64 kB.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from nexus_engine.contract.secret import Secret
from nexus_engine.spec.convert import convert
from nexus_engine.spec.filters import FILTERS, MAX_CHARS
from nexus_engine.spec.spelling import nearest

if TYPE_CHECKING:
    import jinja2
    from jinja2 import nodes

__all__ = ["FILTER_NAMES", "KNOWN_NAMES", "ROOTS", "Scope", "Template", "TemplateError", "asks", "convert", "is_template", "names", "render_options"]

ROOTS: Final = ("each", "run", "window", "vars", "secrets", "feed")
KNOWN_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "run": ("started_at", "id"),
    "window": ("start", "end"),
    "feed": ("name",),
}  # the names under each, vars and secrets are the user's
FILTER_NAMES: Final = (*sorted(FILTERS), "default")

Scope = Mapping[str, Mapping[str, Any]]
_SIMPLE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\.([A-Za-z_]\w*)\s*\}\}")


class TemplateError(ValueError):
    """A template is not one, uses what is not allowed, or meets an undefined name. Never quotes a value.

    ``word``: a pattern of what in the template is meant (its first group, if it has one); ``hint``: what was probably meant;
    ``bare``: a name without its root.
    """

    def __init__(self, message: str, *, word: str = "", hint: str = "", bare: str = "") -> None:
        super().__init__(message)
        self.word, self.hint, self.bare = word, hint, bare


class Template:
    """One parsed template. ``names`` are the (root, name) pairs it reads; ``parts``, for templates without filters and
    conditions, the texts and pairs in order, else None."""

    __slots__ = ("_code", "names", "parts", "text")

    def __init__(
        self, text: str, names: frozenset[tuple[str, str]], parts: tuple[str | tuple[str, str], ...] | None
    ) -> None:
        self.text = text
        self.names = names
        self.parts = parts
        self._code: jinja2.Template | None = None

    @staticmethod
    def parse(text: str) -> Template:
        """Parse, with a cache.

        Raises:
            TemplateError: says what is not allowed.
        """
        return _parse(text)

    def render(self, scope: Scope) -> str:
        """The text, with values taken from ``scope``; secrets are revealed in it.

        Raises:
            TemplateError: a name is undefined, a filter does not fit its value, or the text is longer than 64 kB.
        """
        values = {pair: _value(scope, *pair) for pair in self.names}
        if self.parts is not None:
            missing = [pair for pair in self.names if values[pair] is _MISSING]
            if missing:
                raise TemplateError(_undefined(missing))
            text = "".join(part if isinstance(part, str) else _shown(values[part]) for part in self.parts)
        else:
            text = self._evaluate(values)
        if len(text) > MAX_CHARS:
            raise TemplateError(f"the rendered text is longer than {MAX_CHARS} characters")
        return text

    def _evaluate(self, values: Mapping[tuple[str, str], Any]) -> str:
        import jinja2

        context: dict[str, dict[str, Any]] = {root: {} for root, _ in values}
        for (root, name), value in values.items():
            if value is not _MISSING:
                context[root][name] = value if isinstance(value, (int, float)) else str(value)
        try:
            if self._code is None:
                self._code = _environment().from_string(self.text)
            return self._code.render(context)
        except jinja2.UndefinedError:
            missing = [pair for pair, value in values.items() if value is _MISSING]
            raise TemplateError(_undefined(missing)) from None
        except (ValueError, TypeError, OverflowError, ArithmeticError, jinja2.TemplateError, OSError):
            # what failed may quote a value: name the template's inputs instead
            read = ", ".join(sorted(f"{root}.{name}" for root, name in values))
            raise TemplateError(f"a filter does not fit the value it is given (the template reads {read})") from None


_MISSING: Final = object()


def _value(scope: Scope, root: str, name: str) -> Any:
    try:
        value = scope[root][name]
    except KeyError:
        return _MISSING
    return value.reveal() if isinstance(value, Secret) else (_MISSING if value is None else value)


def _shown(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _undefined(pairs: Iterable[tuple[str, str]]) -> str:
    listed = sorted(pairs)
    text = "no value for " + ", ".join(f"{root}.{name}" for root, name in listed)
    unset = [name for root, name in listed if root == "secrets"]
    return f"{text}: set the environment variable {unset[0]}, or put it in .env" if unset else text


def is_template(text: object) -> bool:
    return isinstance(text, str) and "{{" in text


def names(text: str) -> set[tuple[str, str]]:
    """The (root, name) pairs a scalar reads: none without ``{{``.

    Raises:
        TemplateError: the text is not an allowed template.
    """
    return set(_parse(text).names) if "{{" in text else set()


def asks(options: Any, name: str) -> bool:
    """Whether an option has `window.<name>` in a template."""
    if isinstance(options, Mapping):
        return any(asks(value, name) for value in options.values())
    if isinstance(options, (list, tuple)):
        return any(asks(value, name) for value in options)
    return isinstance(options, str) and ("window", name) in names(options)


def render_options(options: Any, scope: Scope) -> Any:
    """Options with every text scalar rendered; keys are left as written.

    Raises:
        TemplateError: as ``Template.render``.
    """
    if isinstance(options, str):
        return _parse(options).render(scope) if "{{" in options else options
    if isinstance(options, Mapping):
        return {key: render_options(value, scope) for key, value in options.items()}
    if isinstance(options, (list, tuple)):
        return [render_options(value, scope) for value in options]
    return options


@lru_cache(maxsize=8192)
def _parse(text: str) -> Template:
    if "{{" not in text:
        return Template(text, frozenset(), (text,))
    if len(text) > MAX_CHARS:
        raise TemplateError(f"longer than {MAX_CHARS} characters")
    parts = _simple_parts(text)
    if parts is not None:
        pairs = frozenset(part for part in parts if isinstance(part, tuple))
        if all(root in ROOTS for root, _ in pairs):
            return Template(text, pairs, parts)
    return Template(text, _allowed_names(text), None)


def _simple_parts(text: str) -> tuple[str | tuple[str, str], ...] | None:
    """Texts and ``(root, name)`` pairs, when the template has nothing else: then Jinja is not needed at all."""
    pieces = _SIMPLE.split(text)
    if any(mark in piece for piece in pieces[::3] for mark in ("{{", "}}", "{%", "{#")):
        return None
    parts: list[str | tuple[str, str]] = []
    for i in range(0, len(pieces), 3):
        if pieces[i]:
            parts.append(pieces[i])
        if i + 2 < len(pieces):
            parts.append((pieces[i + 1], pieces[i + 2]))
    return tuple(parts)


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        """Names are looked up in plain dicts only: no attribute of any object is reachable."""

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
            return False

        def is_safe_callable(self, obj: Any) -> bool:
            return False

        def getattr(self, obj: Any, attribute: str) -> Any:
            if type(obj) is dict and attribute in obj:
                return obj[attribute]
            return self.undefined(obj=obj, name=attribute)

    environment = Sandbox(undefined=jinja2.StrictUndefined, autoescape=False, keep_trailing_newline=True)
    default = environment.filters["default"]
    environment.globals.clear()
    environment.filters.clear()
    environment.tests.clear()
    environment.filters.update(FILTERS, default=default)
    return environment


def _allowed_names(text: str) -> frozenset[tuple[str, str]]:
    import jinja2

    try:
        tree = _environment().parse(text)
    except jinja2.TemplateSyntaxError:
        raise TemplateError("this is not a template: check `{{ root.name | filter }}`", word=_broken(text)) from None
    except (RecursionError, ValueError, ArithmeticError):
        raise TemplateError("this template is nested too deep") from None
    found: set[tuple[str, str]] = set()
    for child in tree.iter_child_nodes():
        _check(child, found, 0)
    return frozenset(found)


def _broken(text: str) -> str:
    """A pattern of the first template in the text that is none; "" when each alone is one."""
    import jinja2

    for piece in re.findall(r"\{\{.*?(?:\}\}|\Z)", text, re.DOTALL):
        try:
            _environment().parse(piece)
        except jinja2.TemplateSyntaxError:
            return re.escape(str(piece).rstrip())
    return ""


def named(root: str, name: str = "") -> str:
    """A pattern of `root.name` (of any name without one) as a template may write it."""
    return rf"\b{re.escape(root)}\s*\.\s*" + (rf"{re.escape(name)}\b" if name else "")


def _refusal(node: nodes.Node) -> TemplateError | None:
    """Why a name or a filter is none; None when it is one, or something else."""
    from jinja2 import nodes

    listed = f"one of {', '.join(ROOTS)}"
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        root, name = node.node.name, node.attr
        if root in ROOTS:
            return None
        near = nearest(root, ROOTS)
        hint = f"did you mean `{near}.{name[:60]}`?" if near else ""
        return TemplateError(f"`{root[:60]}` begins no name: {listed} and a dot do", word=named(root), hint=hint)
    if isinstance(node, nodes.Name):
        word = rf"\b{re.escape(node.name)}\b"
        return TemplateError(f"`{node.name[:60]}` is a bare name: write {listed}, a dot and the name", word=word, bare=node.name)
    if isinstance(node, nodes.Filter) and node.name not in FILTER_NAMES:
        near = nearest(node.name, FILTER_NAMES)
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(FILTER_NAMES)}"
        return TemplateError(f"there is no filter `{node.name[:60]}`", word=rf"\|\s*({re.escape(node.name)})\b", hint=hint)
    inner = getattr(node, "node", None)
    if isinstance(node, (nodes.Getattr, nodes.Getitem)) and isinstance(inner, (nodes.Name, nodes.Getattr)):
        root = inner.name if isinstance(inner, nodes.Name) else inner.node.name if isinstance(inner.node, nodes.Name) else ""
        key = inner.attr if isinstance(inner, nodes.Getattr) else getattr(getattr(node, "arg", None), "value", "")
        hint = f"write `{root}.{key}`" if root in ROOTS and str(key).isidentifier() else ""
        message = "a name is a root, a dot and one word: nothing is looked up inside its value"
        return TemplateError(message, word=rf"\b{re.escape(root)}\b", hint=hint)
    return None


def _check(node: nodes.Node, found: set[tuple[str, str]], depth: int) -> None:
    """Allow-list walk over the parsed template; collects (root, name)."""
    from jinja2 import nodes

    if depth > 30:
        raise TemplateError("this template is nested too deep")
    if refusal := _refusal(node):
        raise refusal
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        found.add((node.node.name, node.attr))
        return
    if isinstance(node, nodes.Const) and isinstance(node.value, str) and len(node.value) > 1000:
        raise TemplateError("a text of more than 1000 characters inside a template")
    allowed = (
        nodes.Output, nodes.TemplateData, nodes.Const, nodes.Filter, nodes.Concat, nodes.CondExpr, nodes.Compare,
        nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Add, nodes.Sub, nodes.Neg,
    )  # fmt: skip
    if not isinstance(node, allowed):
        raise TemplateError(f"{type(node).__name__.lower()} is not allowed here: names, constants, filters and conditions only")
    for child in node.iter_child_nodes():
        _check(child, found, depth + 1)
