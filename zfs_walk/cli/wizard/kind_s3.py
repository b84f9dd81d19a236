"""What is asked about a bucket of S3.

A core, as `zfs_walk.cli.wizard.questions`.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from zfs_walk.cli.wizard.kind import Kind, Options, is_host, kept, option
from zfs_walk.cli.wizard.questions import OPTION, Answers, Question, Thing, matching
from zfs_walk.errors import WrongUseError
from zfs_walk.sinks import s3_options


def s3(options: Options) -> Kind:
    """The kind whose answers the options check."""
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
            OPTION + "credentials_keyring", "Keyring entry with the keys",
            "SERVICE/USER, as `keyring set SERVICE USER` has made it in the keyring of who runs the"
            " agent, with ACCESS-KEY-ID:SECRET-KEY as its secret. Empty: they are in no keyring.",
            kept, wanted=lambda answers: OPTION + "profile" not in answers,
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
        "a bucket of S3", questions, _s3_url,
        "The access key is not in this file. It comes from where AWS's own tools take it:"
        " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of the agent, a profile in"
        " ~/.aws/credentials, the keyring that an option names, or the role of the machine"
        " (docs/s3.md).",
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
        fits = found.scheme in {"http", "https"} and is_host(found.hostname or "")
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
    # With a profile, or a keyring, the environment does not count.
    if {OPTION + "profile", OPTION + "credentials_keyring"} & set(answers):
        return ()
    if "AWS_ACCESS_KEY_ID" in there:
        return ()
    return ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
