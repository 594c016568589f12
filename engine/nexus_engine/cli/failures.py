"""How a command ends: exit codes, errors in their four parts, and what to do about a bug. No traceback for a user's mistake."""

from __future__ import annotations

import os
import tempfile
import traceback
from typing import Any

import click

from nexus_engine.cli.output import Exit, Output
from nexus_engine.errors import ConfigError, NexusError

__all__ = ["FAILED", "INVALID", "OK", "SOME_FAILED", "Exit", "guarded", "invalid", "show"]

OK, FAILED, INVALID, SOME_FAILED = 0, 1, 2, 3


def guarded(group: click.Command, args: list[str]) -> int:
    """Run ``group`` with ``args``; the process's exit code."""
    out = Output()
    try:
        result = group.main(args=args, prog_name="nexus-engine", standalone_mode=False, obj=out)
    except Exit as stop:
        return stop.code
    except click.exceptions.Exit as stop:
        return int(stop.exit_code)
    except click.ClickException as error:
        return _usage(out, error)
    except (click.exceptions.Abort, KeyboardInterrupt):
        out.note("interrupted")
        return 130
    except NexusError as error:
        show(out, error)
        return int(getattr(error, "exit_code", FAILED))
    except OSError as error:
        return _refused(out, error)
    except Exception as error:  # noqa: BLE001  whatever is left is our bug
        return _bug(out, error)
    return result if isinstance(result, int) else OK


def show(out: Output, error: NexusError) -> None:
    """An error in its four parts; the problems of a configuration with their lines."""
    problems = list(getattr(error, "problems", ()))
    if out.as_json:
        out.json({"error": error_json(error)})
        return
    if problems:
        out.note(_problems(problems))
    out.note(f"error: {error.what}")
    for label, text in (("where", error.where), ("engine", error.did), ("to do", error.do)):
        if text:
            out.note(f"  {label + ':':<8}{text}")


def error_json(error: NexusError) -> dict[str, Any]:
    from nexus_engine.service.wire import error_to_json

    data = error_to_json(error)
    data["kind"] = getattr(error, "kind", data["kind"])
    if getattr(error, "problems", ()) and "problems" not in data:
        data["problems"] = list(getattr(error, "problems", ()))
    return data


def _problems(problems: list[Any]) -> str:
    """Problems found here, or told by the owner as plain data."""
    import msgspec

    from nexus_engine.spec.problems import Problem, render

    return render([item if isinstance(item, Problem) else msgspec.convert(item, Problem) for item in problems])


def invalid(problems: list[Any], what: str = "") -> ConfigError:
    """The error of files that are wrong: nothing ran."""
    count = len(problems)
    return ConfigError(what or f"{count} problem{'s' if count != 1 else ''} in the configuration", problems=tuple(problems), did="nothing ran")


def _usage(out: Output, error: click.ClickException) -> int:
    if out.as_json:
        out.json({"error": {"kind": "Usage", "what": error.format_message(), "exit_code": error.exit_code}})
    else:
        error.show()
    return int(error.exit_code)


def _refused(out: Output, error: OSError) -> int:
    """The disk is full, or a folder cannot be used: no bug."""
    from nexus_engine.deliver.refusals import refusal

    known = refusal(error)
    if known is None:
        return _bug(out, error)
    show(out, known)
    return known.exit_code


def _bug(out: Output, error: Exception) -> int:
    text = out.redact("".join(traceback.format_exception(error)))
    if out.debug:
        out.note(text)
        place = "above"
    else:
        fd, place = tempfile.mkstemp(prefix="nexus-engine-", suffix=".traceback")
        with os.fdopen(fd, "w") as file:
            file.write(text)
    message = f"{type(error).__name__}: {error}".splitlines()[0]
    if out.as_json:
        out.json({"error": {"kind": "Bug", "what": message, "traceback": place, "exit_code": FAILED}})
    else:
        out.note(f"error: {message}\n  This is a bug in nexus-engine or in a plugin, not in your files. The traceback is {place}.")
    return FAILED
