"""How a command ends: one line and the documented code, whatever happened."""

import errno
import os
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest

from zfs_walk import errors
from zfs_walk.cli.command import run_command, shared
from zfs_walk.errors import CatalogError, ZfsWalkError

Run = Callable[..., tuple[int | str | None, str]]


@pytest.fixture
def end_with(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command that raises or returns something; returns its code and stderr."""

    def run(outcome: object, *words: str) -> tuple[int | str | None, str]:
        @click.command()
        @shared
        def main(verbose: int) -> Any:  # noqa: ARG001 -- as every command
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr(sys, "argv", ["zfs-test", *words])
        monkeypatch.setattr(os, "_exit", sys.exit)
        with pytest.raises(SystemExit) as caught:
            run_command(main, "zfs-test")
        return caught.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(("outcome", "code"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_command_returns_is_its_code(end_with: Run, outcome: object, code: int) -> None:
    assert end_with(outcome) == (code, "")


def test_an_error_of_ours_is_one_line(end_with: Run) -> None:
    code, err = end_with(CatalogError(path="/x", reason="it is odd"))
    assert (code, err) == (9, "zfs-test: The catalog /x can't be used: it is odd.\n")


def test_a_bug_is_shown_and_is_no_walk_with_errors(end_with: Run) -> None:
    code, err = end_with(KeyError("oops"))
    assert code == errors.InternalError.exit_code == 3
    assert "Traceback" in err
    assert "This is a bug in zfs_walk" in err.splitlines()[-1]


def test_a_closed_pipe_is_silent(end_with: Run) -> None:
    assert end_with(BrokenPipeError(errno.EPIPE, "Broken pipe")) == (141, "")


def test_an_error_of_the_system_is_one_line(end_with: Run) -> None:
    code, err = end_with(OSError(errno.ENOSPC, "No space left on device"))
    assert (code, err) == (3, "zfs-test: [Errno 28] No space left on device\n")


def test_an_interrupt_is_no_bug(end_with: Run) -> None:
    assert end_with(KeyboardInterrupt()) == (130, "zfs-test: interrupted\n")


def test_help_and_version_are_well(end_with: Run) -> None:
    assert end_with(5, "--help") == (0, "")
    assert end_with(5, "--version") == (0, "")


def test_an_unknown_option_is_wrong_use(end_with: Run) -> None:
    code, err = end_with(None, "--nonsense")
    assert code == 2
    assert "--nonsense" in err


def test_every_error_has_a_code_of_its_own_meaning() -> None:
    found = [
        each for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, ZfsWalkError)
    ]  # fmt: skip
    assert all(each.__doc__ and 1 <= each.exit_code <= 16 for each in found)


def test_a_run_that_no_message_can_name_is_wrong_use() -> None:
    from click.testing import CliRunner

    from zfs_walk.cli.ctl_runs import run_group

    for number in ("0", str(2**63)):
        result = CliRunner().invoke(run_group, ["show", number])
        assert result.exit_code == 2
        assert "not in the range" in result.output
