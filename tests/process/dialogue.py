"""A command that asks, on a terminal of its own."""

import os
import pty
import re
import select
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager

from tests.process.place import Env, Place, Process, Word, wait_for


class Dialogue:
    """Types what a person would, when it is asked for.

    Attributes:
        seen: all that was on the terminal.
    """

    def __init__(self, place: Place, *arguments: Word, env: Env | None = None) -> None:
        self._mine, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, 200))
        self.seen = ""
        self._answered = -1
        self.process: Process = subprocess.Popen(
            place.command("ctl", "config", "wizard", "uploader", *arguments),
            stdin=theirs, stdout=theirs, stderr=theirs, text=True, cwd=place.folder,
            env={**place.env, "TERM": "dumb", **(env or {})},
            preexec_fn=lambda: _take_over(theirs),  # noqa: PLW1509 -- no other thread runs here
        )  # fmt: skip
        os.close(theirs)
        place.started.append(self.process)

    def _read(self) -> str:
        while select.select([self._mine], [], [], 0)[0]:
            try:
                found = os.read(self._mine, 65_536)
            except OSError:  # nobody has the other end any more
                break
            self.seen += found.decode(errors="surrogateescape").replace("\r\n", "\n")
        return self.seen

    def asked(self, question: str) -> None:
        """Wait until this is what it asks."""
        # An answer that was given before may stand in brackets.
        asking = re.compile(re.escape(question) + r"(?: \[[^\]]*\])?: \Z")

        def is_asked() -> bool:
            ended = self.process.poll() is not None
            # What was answered already is there until what was typed is echoed.
            asks = bool(asking.search(self._read())) and len(self.seen) > self._answered
            assert asks or not ended, self.seen
            return asks

        try:
            wait_for(question, is_asked)
        except AssertionError as error:
            raise AssertionError(self.seen) from error

    def answer(self, question: str, answer: str) -> None:
        """Wait for a question, and answer it."""
        self.asked(question)
        self._answered = len(self.seen)
        self.type(f"{answer}\n")

    def leave_empty(self, *questions: str) -> None:
        for question in questions:
            self.answer(question, "")

    def refused(self, question: str, answer: str, why: str) -> None:
        """An answer that is not taken: why is said, and it is asked again."""
        self.answer(question, answer)
        before = self._answered
        self.asked(question)
        said = " ".join(self.seen[before:].split())
        assert why in said.partition("! ")[2], said

    def type(self, text: str) -> None:
        os.write(self._mine, os.fsencode(text))

    def ended(self) -> int:
        """Wait for its end while reading, as a terminal does; returns its exit code."""

        def has_ended() -> bool:
            self._read()
            return self.process.poll() is not None

        try:
            wait_for("it ends", has_ended)
        except AssertionError as error:
            raise AssertionError(self.seen) from error
        self._read()
        return self.process.returncode

    @property
    def words(self) -> str:
        """All that was on the terminal, however its lines were broken."""
        return re.sub(r"\s+", " ", self.seen)

    def close(self) -> None:
        os.close(self._mine)


@contextmanager
def wizard(place: Place, *arguments: Word, env: Env | None = None) -> Iterator[Dialogue]:
    """The wizard of an uploader's file."""
    dialogue = Dialogue(place, *arguments, env=env)
    try:
        yield dialogue
    finally:
        dialogue.close()


def is_nowhere(place: Place, secret: str, *texts: str) -> None:
    """Check that it is in no text, and in no file at a place."""
    assert not [text for text in texts if secret in text]
    words = ["grep", "-rlaF", secret, str(place.folder)]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")


def _take_over(terminal: int) -> None:
    """Be who Ctrl-C is meant for, and whom passwords are read from."""
    os.login_tty(terminal)
    # Whoever runs the tests in the background may have it ignored.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
