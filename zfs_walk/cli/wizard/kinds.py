"""The kinds of other sides: what is asked of each, and the URL that the answers make.

A core, as `zfs_walk.cli.wizard.questions`.
"""

import os
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ValidationError

from zfs_walk.cli.wizard.questions import (
    OPTION,
    Answers,
    Question,
    Thing,
    matching,
)
from zfs_walk.errors import WrongUseError
from zfs_walk.sinks import s3_options, sftp_options

Options = type[BaseModel]
"""The model of a sink's options."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of other side.

    Attributes:
        scheme: of its URLs.
        title: what it is called.
        page: of the documentation.
        questions: about it.
        url: the URL that the answers make; None: what it needs was left empty.
        secrets: where its secrets come from, for people.
        borrowed: environment variables that may be lent to a test of the connection, by the answers
            and the names of the variables that are there.
    """

    scheme: str
    title: str
    page: str
    questions: tuple[Question, ...]
    url: Callable[[Answers], str | None]
    secrets: str
    borrowed: Callable[[Answers, Collection[str]], tuple[str, ...]]


def kind_of(name: str, options: Options, user: str) -> Kind:
    """The kind with a name of `SCHEMES`.

    Args:
        name: of it.
        options: of its sink, which check its answers.
        user: who asks.
    """
    if name == "sftp":
        return _sftp(options, user)
    return _s3(options) if name == "s3" else _local(options)


SCHEMES: Final = {"s3": "s3", "sftp": "sftp", "local": "file"}
"""Of the kinds, by their names."""


def option(options: Options, key: str, *, listed: bool = False) -> Callable[[str], str]:
    """The reader of an option that is text."""

    def read(answer: str) -> str:
        try:
            options.model_validate({key: [answer] if listed else answer})
        except ValidationError as error:
            found = error.errors(include_input=False, include_url=False, include_context=False)
            message = "; ".join(each["msg"] for each in found)
            raise ValueError(message) from None
        return answer

    return read


def _nothing_borrowed(_answers: Answers, _there: Collection[str]) -> tuple[str, ...]:
    return ()


# ---------------------------------------------------------------------- S3


def _s3(options: Options) -> Kind:
    at_a_server = OPTION + "endpoint_url"
    questions = (
        Question(
            "bucket", "Bucket",
            "The bucket that the files go to, its name alone. It must be there.",
            _bucket,
        ),
        Question(
            "prefix", "Folder in the bucket",
            "What the keys of this mapping begin with, such as projects/photos; give it to nobody"
            " else. Empty: the whole bucket.",
            _prefix, path=True,
        ),
        Question(
            at_a_server, "Endpoint",
            "The address of a server that is not Amazon's, such as https://s3.example.org or"
            " http://localhost:8333. Empty: Amazon's, or as ~/.aws/config says.",
            _endpoint,
        ),
        Question(
            OPTION + "region", "Region",
            "Such as eu-central-1. Empty: as ~/.aws/config says, else us-east-1, which suits most"
            " servers that are not Amazon's.",
            matching("[A-Za-z0-9_-]{1,64}", "letters, digits, '-' and '_'"),
        ),
        Question(
            OPTION + "profile", "Profile",
            "The profile of ~/.aws/credentials that has the access key. Empty: the key comes from"
            " the environment, the default profile, or the role of the machine.",
            matching(r"[A-Za-z0-9._ -]{1,100}", "the name of a profile, and never a key itself"),
        ),
        Question(
            OPTION + "addressing", "Addressing (auto, path or virtual)",
            "Where the bucket's name stands: path (HOST/BUCKET, most servers) or virtual"
            " (BUCKET.HOST). Empty: auto.",
            option(options, "addressing"), wanted=lambda answers: at_a_server in answers,
        ),
        Question(
            OPTION + "ca_file", "File with certificates",
            "For a server whose certificate no public authority has signed: the file with those"
            " that did. Empty: the system's.",
            option(options, "ca_file"), thing=Thing.FILE,
            wanted=lambda answers: str(answers.get(at_a_server)).startswith("https:"),
        ),
    )  # fmt: skip
    return Kind(
        "s3", "a bucket of S3", "docs/s3.md", questions, _s3_url,
        "The access key is not in this file. It comes from where AWS's own tools take it:"
        " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of the agent, a profile in"
        " ~/.aws/credentials, or the role of the machine (docs/s3.md).",
        _s3_borrowed,
    )  # fmt: skip


def _bucket(answer: str) -> str:
    try:
        found = s3_options.parse(f"s3://{answer}")
    except WrongUseError:
        found = s3_options.Bucket("", "")
    if found.name != answer:
        message = (
            "wanted: the bucket's name alone, 3 letters, digits, '.', '_' or '-' at least; the"
            " folder in it and the server are asked for below"
        )
        raise ValueError(message)
    return answer


def _prefix(answer: str) -> str:
    prefix = answer.strip("/")
    try:
        prefix.encode()
        fits = s3_options.parse(f"s3://bucket/{prefix}").prefix == f"{prefix}/"
    except (WrongUseError, UnicodeEncodeError):
        fits = False
    if not fits or not prefix.isprintable():
        message = (
            "wanted: names with '/' between them, none of them empty, '.' or '..', and without '?',"
            " '#' and control characters"
        )
        raise ValueError(message)
    return prefix


def _endpoint(answer: str) -> str:
    try:
        found = urlsplit(answer)
        fits = found.scheme in {"http", "https"} and bool(_is_host(found.hostname or ""))
        fits = fits and found.port != 0 and "@" not in answer
        fits = fits and not found.query and not found.fragment and answer.isprintable()
    except ValueError:
        fits = False
    if not fits or " " in answer:
        message = (
            "wanted: https://HOST or https://HOST:PORT, or the same with http://; without a user, a"
            " password or a bucket"
        )
        raise ValueError(message)
    return answer


def _s3_url(answers: Answers) -> str | None:
    if "bucket" not in answers:
        return None
    return "/".join([f"s3://{answers['bucket']}", *filter(None, [answers.get("prefix")])])


def _s3_borrowed(answers: Answers, there: Collection[str]) -> tuple[str, ...]:
    # With a profile the environment does not count.
    if OPTION + "profile" in answers or "AWS_ACCESS_KEY_ID" in there:
        return ()
    return ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


# ---------------------------------------------------------------------- SFTP


def _sftp(options: Options, user: str) -> Kind:
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
            OPTION + "known_hosts", "File with known host keys",
            "By which the server is recognized. Empty: ~/.ssh/known_hosts and the system's; if the"
            " server is in neither, you are shown its fingerprint.",
            option(options, "known_hosts", listed=True), listed=True, thing=Thing.FILE,
        ),
    )  # fmt: skip
    return Kind(
        "sftp", "a folder of an SFTP server", "docs/sftp.md", questions,
        lambda answers: _sftp_url(answers, user),
        "Neither a key nor a password is in this file. They are read from the key file, the SSH"
        " agent, the file with the password, or the environment of the agent (docs/sftp.md).",
        _sftp_borrowed,
    )  # fmt: skip


def _is_host(text: str) -> re.Match[str] | None:
    return re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|[0-9A-Fa-f.]*:[0-9A-Fa-f:.]+", text)


def _host(answer: str) -> str:
    if not _is_host(answer):
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


# ---------------------------------------------------------------------- a folder of this host


def _local(options: Options) -> Kind:
    questions = (
        Question(
            "folder", "Folder that the files go to",
            "A folder of this host, or of a disk that is mounted here; it must be there, outside of"
            " the mirrored one.",
            str, thing=Thing.FOLDER,
        ),
        Question(
            OPTION + "mount", "Mount point",
            "If that folder is on a disk that may be missing: where the disk is mounted. Nothing is"
            " sent while it is not. Empty: it is always there.",
            option(options, "mount"), thing=Thing.FOLDER,
        ),
    )  # fmt: skip
    return Kind(
        "file", "another folder of this host", "docs/sinks.md", questions, _local_url,
        "It needs no secrets.", _nothing_borrowed,
    )  # fmt: skip


def _local_url(answers: Answers) -> str | None:
    if "folder" not in answers:
        return None
    return f"file://{quote(os.fsencode(answers['folder']))}"
