"""What is asked about a folder of an SFTP server.

A core, as `zfs_walk.cli.wizard.questions`.
"""

import os
import re
from collections.abc import Collection
from typing import Any

from zfs_walk.cli.wizard.kind import Kind, Options, is_host, kept, option
from zfs_walk.cli.wizard.questions import OPTION, Answers, Question, Thing, matching
from zfs_walk.sinks import sftp_options


def sftp(options: Options, user: str) -> Kind:
    """The kind whose answers the options check; ``user`` is who asks."""
    questions = (
        Question(
            "host", "Host",
            "The name or the number of the server, such as vault.example.org.",
            _host,
        ),
        Question("port", "Port", "Empty: 22, as usual.", _port),
        Question(
            "user", "User",
            f"Who logs in there. Empty: {user}, as here.",
            matching(r"[^\s/:@\0]{1,100}", "a user's name, without '@', ':', '/' and spaces"),
        ),
        Question(
            "path", "Folder there",
            "The folder that the files go to; it must be there. With '/' in front it is absolute,"
            " else below where the server lets the user in. Empty: right there.",
            _remote_path, path=True,
        ),
        Question(
            OPTION + "key_file", "Private key",
            "The file of the key that logs in. Empty: the keys of the SSH agent, then the usual"
            " ones of ~/.ssh.",
            option(options, "key_file", listed=True), listed=True, thing=Thing.FILE,
        ),
        Question(
            OPTION + "password_file", "File with the password",
            "A file whose first line is the password of the user, or of an encrypted key. Empty:"
            " none is needed, or it comes from the environment.",
            option(options, "password_file"), thing=Thing.FILE,
        ),
        Question(
            OPTION + "password_env", "Variable with the password",
            "The name of the environment variable that has the password, such as VAULT_PASSWORD,"
            " and not the password. Empty: none is needed.",
            matching(
                "[A-Z][A-Z0-9_]{0,99}",
                "the name of a variable, of capital letters, digits and '_'; the password itself"
                " never goes into this file",
            ),
            wanted=lambda answers: OPTION + "password_file" not in answers,
        ),
        Question(
            OPTION + "password_keyring", "Keyring entry with the password",
            "SERVICE/USER, as `keyring set SERVICE USER` has made it in the keyring of who runs the"
            " agent. Empty: none is needed.",
            kept,
            wanted=lambda answers: not {OPTION + "password_file", OPTION + "password_env"}
            & set(answers),
        ),
        Question(
            OPTION + "known_hosts", "File with known host keys",
            "By which the server is recognized. Empty: ~/.ssh/known_hosts and the system's; if the"
            " server is in neither, you are shown its fingerprint.",
            option(options, "known_hosts", listed=True), listed=True, thing=Thing.FILE,
        ),
    )  # fmt: skip
    return Kind(
        "a folder of an SFTP server", questions,
        lambda answers: _sftp_url(answers, user),
        "Neither a key nor a password is in this file. They are read from the key file, the SSH"
        " agent, the file with the password, the environment of the agent, or its keyring"
        " (docs/sftp.md).",
        _sftp_borrowed,
    )  # fmt: skip


def _host(answer: str) -> str:
    if not is_host(answer):
        message = (
            "wanted: the name or the number of a server alone; port, user and folder are asked for"
            " below"
        )
        raise ValueError(message)
    return answer


def _port(answer: str) -> int:
    most = 65_535
    if not re.fullmatch("[0-9]{1,5}", answer) or not 1 <= int(answer) <= most:
        message = "wanted: a whole number, at least 1, at most 65535"
        raise ValueError(message)
    return int(answer)


def _folder(path: str) -> bytes:
    """As `zfs_walk.sinks.sftp_options.Address` has it: absolute, or below where one is let in."""
    text = path.removeprefix("~/") if path != "~" else ""
    parts = [part for part in os.fsencode(text).split(b"/") if part not in {b"", b"."}]
    return (b"/" if text.startswith("/") else b"") + b"/".join(parts)


def _remote_path(answer: str) -> str:
    folder = _folder(answer)
    if b".." in folder.split(b"/") or b"\0" in folder or folder.split(b"/")[0] == b"~":
        message = "wanted: a path without '..', such as /data/photos, or photos"
        raise ValueError(message)
    return answer


def _sftp_url(answers: Answers, user: str) -> str | None:
    if "host" not in answers:
        return None
    return sftp_options.Address(
        answers.get("user", user), answers["host"], answers.get("port", sftp_options.PORT),
        _folder(answers.get("path", "")),
    ).text()  # fmt: skip


def _sftp_borrowed(answers: Answers, there: Collection[str]) -> tuple[str, ...]:
    name: Any = answers.get(OPTION + "password_env")
    return (name,) if name is not None and name not in there else ()
