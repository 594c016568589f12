"""What is wrong with a spec, found by the compiler: data, all at once, by the path of the spec's key."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CompileProblem:
    """``path`` is the spec's, dotted (`fields.value.type`, `validate[0].field`); ``suggestion`` is a replacement or empty."""

    path: str
    code: str
    message: str
    suggestion: str = ""


class CompileError(Exception):
    """The spec does not compile; ``problems`` holds every reason found."""

    def __init__(self, problems: list[CompileProblem]) -> None:
        super().__init__("; ".join(f"{problem.path}: {problem.message}" for problem in problems))
        self.problems = problems
