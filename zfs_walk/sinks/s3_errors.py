"""What S3 servers and boto3 say, as the errors of a sink."""

import re
from typing import Any, Final

from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from zfs_walk.sinks.errors import (
    CorruptedError,
    FileRefusedError,
    FullSinkError,
    MissingError,
    NameRefusedError,
    SinkError,
    SinkRefusedError,
    TransientError,
    UnreachableSinkError,
)

_CORRUPTED: Final = {
    "BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch",
    "IncompleteBody",
}  # fmt: skip

_REFUSED: Final = {
    "NoSuchBucket": "there is no such bucket; make it, or correct the URL",
    "InvalidBucketName": "no bucket can have this name; correct the URL",
    "InvalidAccessKeyId": "it does not know the access key",
    "SignatureDoesNotMatch": "the secret key is not the access key's",
    "AuthFailure": "it does not take the credentials",
    "InvalidClientTokenId": "it does not know the access key",
    "InvalidToken": "it does not take the session token",
    "ExpiredToken": "the session token has expired; get new credentials",
    "ExpiredTokenException": "the session token has expired; get new credentials",
    "TokenRefreshRequired": "the session token has expired; get new credentials",
    "RequestTimeTooSkewed": "this host's clock and the server's differ too much; set them right",
    "RequestExpired": "this host's clock and the server's differ too much; set them right",
    "AccountProblem": "there is a problem with the account",
    "AllAccessDisabled": "all access to the bucket is disabled",
    "NotSignedUp": "the account has no access to S3",
    "PermanentRedirect": "the bucket is at another endpoint; correct endpoint_url or region",
    "AuthorizationHeaderMalformed": "the bucket is in another region; correct region",
    "IllegalLocationConstraintException": "the bucket is in another region; correct region",
    "InvalidStorageClass": "it has no such storage class; correct storage_class",
    "KMS.NotFoundException": "there is no such key; correct kms_key",
    "KMS.DisabledException": "the key for the encryption is disabled",
}  # fmt: skip

DENIED: Final = {"AccessDenied", "Forbidden", "Unauthorized", "400", "401", "403"}
"""Denials of anything; a HEAD has numbers only."""

_GONE: Final = {"NoSuchKey", "NotFound", "404"}
_FULL_CODES: Final = {"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "507"}
_FULL: Final = re.compile(
    r"no space left|disk quota exceeded|not enough space|insufficient storage|no writable volume"
    r"|no free volumes|volume.* full",
    re.IGNORECASE,
)
_PASSING: Final = {
    "RequestTimeout", "RequestTimeoutException", "SlowDown", "Throttling", "ThrottlingException",
    "TooManyRequests", "RequestLimitExceeded", "OperationAborted", "ConditionalRequestConflict",
    "ServiceUnavailable", "InternalError", "408", "409", "425", "429",
}  # fmt: skip
_CONNECTIONS: Final[dict[type[Exception], type[SinkError]]] = {
    botocore.SSLError: TransientError,
    botocore.ReadTimeoutError: TransientError,
    botocore.ConnectionError: UnreachableSinkError,
    botocore.HTTPClientError: TransientError,
    botocore.IncompleteReadError: TransientError,
    ResponseParserError: TransientError,
    botocore.ParamValidationError: FileRefusedError,
}
"""In this order: some of them are others of them."""
_BUSY: Final = {"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException"}
SERVER_ERROR: Final = 500
"""The first status of a server that fails by itself."""
_LONGEST: Final = 300
"""Characters of a server's own words."""


def code_of(error: BaseException) -> str:
    """Return the code of a server's answer; empty: it is none."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def status_of(error: BaseException) -> int:
    """Return the HTTP status of a server's answer; 0: it is none."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def says_little(error: BaseException) -> bool:
    """Whether an answer leaves open if it concerns the one file or all.

    So do denials, errors of the server's own, which many give when their disk is full, and silence.
    """
    code, status = code_of(error), status_of(error)
    return is_silence(error) or code in DENIED or (status >= SERVER_ERROR and code not in _BUSY)


def is_silence(error: BaseException) -> bool:
    """Whether the server did not answer in time."""
    return isinstance(error, botocore.ReadTimeoutError)


def translate(error: Exception, place: str) -> SinkError:
    """Return what an error of boto3's means.

    Args:
        error: of `botocore.exceptions`.
        place: where the file goes, or the sink's root.
    """
    code, status = code_of(error), status_of(error)
    return _answer(error, code, status, place) if code else _connection(error, place)


def _answer(error: BaseException, code: str, status: int, place: str) -> SinkError:
    response: dict[str, Any] = getattr(error, "response", {})
    message = " ".join(str(response["Error"].get("Message", "")).split())[:_LONGEST]
    said = f"{code}: {message}" if message else code
    if code in _REFUSED:
        return SinkRefusedError(place=place, reason=f"{_REFUSED[code]} ({said})")
    meaning: type[SinkError] = FileRefusedError
    if code in _CORRUPTED:
        meaning = CorruptedError
    elif code in _FULL_CODES or _FULL.search(message):
        meaning = FullSinkError
    elif code in _GONE:
        meaning = MissingError
    elif "toolong" in code.lower() or "name too long" in message:
        meaning = NameRefusedError
    elif code in _PASSING or status >= SERVER_ERROR:
        meaning = TransientError
    return meaning(place=place, reason=said)


def _connection(error: Exception, place: str) -> SinkError:
    said = " ".join(str(error).split())[:_LONGEST]
    if isinstance(error, botocore.SSLError) and "CERTIFICATE" in said.upper():
        reason = f"its certificate does not pass; see ca_file ({said})"
        return SinkRefusedError(place=place, reason=reason)
    for kind, meaning in _CONNECTIONS.items():
        if isinstance(error, kind):
            return meaning(place=place, reason=said)
    # Credentials, profiles, regions: what has to be put right before anything can be sent.
    return SinkRefusedError(place=place, reason=said)
