"""The wizard of an uploader's file, from the first question to the file."""

import getpass
import os
import shlex
from pathlib import Path
from typing import Any, Final

import click

from zfs_walk.cli.summary import show_path, show_text
from zfs_walk.cli.wizard.dialogue import (
    agreed,
    ask_all,
    chosen,
    complain,
    hidden,
    need_terminal,
    say,
    title,
)
from zfs_walk.cli.wizard.kind import Kind, Options
from zfs_walk.cli.wizard.kinds import SCHEMES, kind_of
from zfs_walk.cli.wizard.questions import HOW, OPTION, WHAT, Answers
from zfs_walk.cli.wizard.render import mapping, render
from zfs_walk.cli.wizard.saving import free_backup, save
from zfs_walk.cli.wizard.trial import check, lent, places
from zfs_walk.config.mappings import compose, read_mappings
from zfs_walk.config.places import uploader_files
from zfs_walk.errors import InternalError, WrongUseError, ZfsWalkError
from zfs_walk.mirror.mapping import Mapping
from zfs_walk.sinks.choose import sink_class
from zfs_walk.sinks.errors import SinkRefusedError, UnknownHostError

KINDS: Final = {
    "s3": "a bucket of Amazon S3, or of any server that speaks S3",
    "sftp": "a folder of a server that one logs into by SSH",
    "local": "another folder of this host, such as one on another disk",
}

NEEDED: Final = {"name": "name", "local": "folder to mirror", "to": "other side"}
"""Keys without which no uploader starts, and what they are called."""


def run(kind: str | None, output: str | None) -> None:
    """Ask, try, write.

    Args:
        kind: of the other side; None: it is asked for.
        output: the file; None: the one that is read without being named.

    Raises:
        WrongUseError: there is no terminal.
        MissingExtraError: what such an other side needs is not installed.
    """
    need_terminal()
    file = Path(os.path.realpath(output or uploader_files()[0]))
    try:
        _Wizard(kind, file, is_default=output is None).run()
    except (click.Abort, KeyboardInterrupt):
        # The terminal still has the question on its last line.
        click.echo(f"\n{show_path(os.fsencode(file))} was not written.", err=True)
        raise


class _Wizard:
    def __init__(self, kind: str | None, file: Path, *, is_default: bool) -> None:
        self._name = kind
        self._file = file
        self._is_default = is_default
        self._answers: Answers = {}
        self._replace = False
        self._failed = False

    def run(self) -> None:
        self._greet()
        kind, options = self._find_kind()
        title("What is mirrored")
        ask_all(WHAT, self._answers)
        title(f"Where it goes: {kind.title}")
        say(kind.secrets)
        ask_all(kind.questions, self._answers)
        self._try(kind)
        self._show_names(kind)
        title("How it is mirrored")
        ask_all(HOW, self._answers)
        self._write(kind, options)

    # ------------------------------------------------------------------ before

    def _greet(self) -> None:
        say(
            "This asks what an uploader needs to know, tries the connection, and writes"
            f" {self._shown}. Every question can be left empty; what is left empty stays in that"
            " file as a comment, to be edited later. Ctrl-C ends this, and nothing is written."
        )
        if os.path.lexists(self._file):
            self._ask_to_replace()

    def _ask_to_replace(self) -> None:
        click.echo()
        say(
            f"{self._shown} is there already. It can be replaced, at the end; the old one is kept"
            f" beside it, as {_name_of(free_backup(self._file))}."
        )
        self._replace = agreed("Replace it?")
        if not self._replace:
            self._ask_for_file()

    def _ask_for_file(self) -> None:
        say("Name another file; an empty answer ends this.", "  ")
        while True:
            typed: str = click.prompt("File", default="", show_default=False).strip()
            if not typed:
                raise click.Abort
            path = Path(os.path.realpath(Path(typed).expanduser()))
            if not os.path.lexists(path):
                self._file, self._is_default, self._replace = path, False, False
                return
            complain("that is there already")

    def _find_kind(self) -> tuple[Kind, Options]:
        if self._name is None:
            title("Where to")
            self._name = chosen("Kind of the other side", KINDS)
        options: Options = sink_class(SCHEMES[self._name]).Options
        return kind_of(self._name, options, getpass.getuser()), options

    # ------------------------------------------------------------------ the trial

    def _mapping(self, kind: Kind) -> Mapping | None:
        """What the answers so far make; None: it is not known where it goes."""
        given = mapping(self._answers, kind)
        if "to" not in given:
            return None
        return Mapping(
            name=given.get("name", "it"),
            local=os.fsencode(given.get("local", "")),
            url=given["to"],
            options=given.get("options", {}),
            includes=tuple(given.get("include", ())),
            excludes=tuple(given.get("exclude", ())),
        )

    def _try(self, kind: Kind) -> None:
        """Until the connection works, or somebody wants to go on without."""
        title("The connection")
        lending: dict[str, str] = {}
        while (found := self._mapping(kind)) is not None:
            if not lending and OPTION + "password_env" in self._answers:
                lending = self._borrow(kind)
            say(f"Trying {show_text(found.url)} ...")
            try:
                with lent(lending):
                    check(found)
            except UnknownHostError as error:
                if self._ask_about_host(error):
                    continue
                trouble: ZfsWalkError = SinkRefusedError(
                    place=error.fields["place"], reason="its host key is not believed"
                )
            except ZfsWalkError as error:
                trouble = error
            else:
                say("It works: a file was written there and taken away again.")
                self._failed = False
                return
            complain(show_text(str(trouble)).rstrip("."))
            what = self._ask_what_now(kind)
            if what == "keep":
                self._failed = True
                return
            if what == "secret":
                lending = self._borrow(kind)
            elif what == "again":
                lending = {}
                self._answers.pop(OPTION + "fingerprint", None)
                ask_all(kind.questions, self._answers)
        say("The other side was left empty, so there is nothing to try.")

    def _ask_about_host(self, error: UnknownHostError) -> bool:
        fingerprint = str(error.fields["fingerprint"])
        say(
            f"This server is not known yet. It shows a key with the fingerprint {fingerprint}."
            " Compare it with what those who run the server say (ssh-keygen -l -f"
            " /etc/ssh/ssh_host_ed25519_key.pub, there)."
        )
        if not agreed("Is it the right one?"):
            return False
        self._answers[OPTION + "fingerprint"] = [fingerprint]
        return True

    def _borrow(self, kind: Kind) -> dict[str, str]:
        """Secrets for the trial alone."""
        names = kind.borrowed(self._answers, os.environ)
        if not names:
            return {}
        say(
            f"{' and '.join(names)} will be taken from the environment of the agent, and this one"
            " has none. For this trial only, and to be forgotten right after it (empty: none):"
        )
        return {name: value for name in names if (value := hidden(name))}

    def _ask_what_now(self, kind: Kind) -> str:
        choices = {
            "again": "ask about the other side again",
            "retry": "try once more as it is",
            "keep": "go on nevertheless",
            "give up": "end this; nothing is written",
        }
        if kind.borrowed(self._answers, os.environ):
            choices["secret"] = "give a password or a key, for the trial only"  # noqa: S105 -- text
        what = chosen("What now", choices)
        if what == "give up":
            raise click.Abort
        return what

    def _show_names(self, kind: Kind) -> None:
        found = self._mapping(kind)
        if found is None or not found.local:
            return
        title("Some of the files, and where they would go")
        try:
            shown = places(found)
        except ZfsWalkError as error:
            complain(show_text(str(error)).rstrip("."))
            return
        for name, place in shown:
            click.echo(f"  {show_path(name)}\n    -> {show_text(place)}")
        if not shown:
            say("No file was found there yet.", "  ")

    # ------------------------------------------------------------------ the file

    @property
    def _shown(self) -> str:
        return _name_of(self._file)

    def _write(self, kind: Kind, options: Options) -> None:
        """Write it; where that can't be, somewhere else."""
        while True:
            text = render(self._answers, kind, options, self._command())
            missing = [words for key, words in NEEDED.items() if key not in self._given(kind)]
            if not missing:
                self._see_that_it_is_right(text)
            try:
                kept = save(self._file, text, replace=self._replace)
            except FileExistsError:
                # It came while we were asking.
                self._ask_to_replace()
            except OSError as error:
                complain(f"{self._shown} can't be written: {error.strerror}")
                self._ask_for_file()
            else:
                self._tell(kind, kept, missing)
                return

    def _see_that_it_is_right(self, text: str) -> None:
        try:
            read_mappings(_mappings(text), self._shown)
        except WrongUseError as error:
            raise InternalError(reason=f"an uploader would not take this: {error}") from error

    def _given(self, kind: Kind) -> dict[str, Any]:
        return mapping(self._answers, kind)

    def _command(self) -> str:
        if self._is_default:
            return "zfs-agent --role uploader"
        # It stands in a comment: a name with an end of a line in it must not end that.
        return f"zfs-agent --role uploader --config {shlex.quote(self._shown)}"

    def _tell(self, kind: Kind, kept: Path | None, missing: list[str]) -> None:
        title(f"{self._shown} is written")
        if kept is not None:
            say(f"The old one is {_name_of(kept)}.")
        if missing:
            say(f"Before it can be used, add to it: {', '.join(missing)}.")
        if self._failed:
            say("The connection did not work: look at `to` and `options` in it once more.")
        say(kind.secrets)
        click.echo(f"Mirror once, to see it:  {self._command()} --once")
        click.echo(f"Mirror from now on:      {self._command()}")


def _name_of(path: Path) -> str:
    return show_path(os.fsencode(path))


def _mappings(text: str) -> Any:
    """The list of a file's mappings, as YAML has it."""
    return {key.value: value for key, value in compose(text, "").value}["mappings"]
