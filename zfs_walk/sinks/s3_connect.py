"""A connection to a server that speaks S3, and what its requests are signed with."""

from functools import partial
from typing import Any, Final

import botocore.session
from botocore.config import Config

from zfs_walk.sinks.errors import SinkRefusedError
from zfs_walk.sinks.kept_secret import secret_of
from zfs_walk.sinks.s3_body import Body
from zfs_walk.sinks.s3_options import S3Options

_CONNECT: Final = 10.0
"""Seconds until a connection must stand."""
_CONNECTIONS: Final = 256
"""Kept for the next request: as many as eight transfers of 32 small files each have. More are
opened when they are needed, and urllib3 warns of each that it can't keep."""
_PROOF: Final = "x-amz-checksum-sha256"
"""The header of a checksum that proves what was sent."""


def connect(options: S3Options, place: str) -> tuple[Any, Any]:
    """Make botocore's session and client; nothing is sent yet.

    boto3 would make the same client, and import 0.1 s more for what is not needed here.

    Args:
        options: of the sink.
        place: as people write it, for what goes wrong.

    Raises:
        BotoCoreError: the AWS configuration is no good.
        SinkRefusedError: the keyring's entry is no good.
    """
    style = options.addressing
    if style == "auto" and options.endpoint_url is not None:
        style = "path"
    session = botocore.session.Session(profile=options.profile)
    if (kept := options.credentials_keyring) is not None:
        session.set_credentials(*_credentials(kept, place))
    config = Config(
        connect_timeout=_CONNECT,
        read_timeout=options.timeout,
        max_pool_connections=_CONNECTIONS,
        # Only what passes within a moment: the rest is waited for by whoever queues.
        retries={"mode": "standard", "total_max_attempts": 3},
        # Each request that has a checksum is given it by us.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": style, "payload_signing_enabled": False},
    )
    made = session.create_client(
        "s3",
        endpoint_url=options.endpoint_url,
        region_name=options.region or session.get_config_variable("region") or "us-east-1",
        verify=None if options.ca_file is None else str(options.ca_file),
        config=config,
    )
    if made.meta.endpoint_url.startswith("http://"):
        signs = {"addressing_style": style, "payload_signing_enabled": True}
        sign = partial(_sign_payload, made.meta.config.merge(Config(s3=signs)))
        made.meta.events.register("before-sign.s3", sign)
    made.meta.events.register("before-sign.s3", _signing)
    made.meta.events.register("before-send.s3", _sending)
    return session, made


def _credentials(kept: str, place: str) -> tuple[str, str]:
    """Return the key's id and the secret key that the keyring has."""
    key, colon, secret = secret_of(kept, "credentials_keyring", place).partition(":")
    if not (key and colon and secret):
        reason = f"credentials_keyring: {kept} of the keyring is no ACCESS-KEY-ID:SECRET-KEY"
        raise SinkRefusedError(place=place, reason=reason)
    return key, secret


def _sign_payload(config: Config, request: Any, **_: Any) -> None:
    # What TLS does not protect, the signature must: by a checksum that is signed itself, if nobody
    # can make another content that has it, else by one of the payload.
    if _PROOF not in request.headers:
        request.context["client_config"] = config


def _signing(request: Any, **_: Any) -> None:
    _note(request, sending=False)


def _sending(request: Any, **_: Any) -> None:
    _note(request, sending=True)


def _note(request: Any, *, sending: bool) -> None:
    body = getattr(request, "body", None)
    if not isinstance(body, Body):
        body = getattr(request, "data", None)
    if isinstance(body, Body):
        body.sending = sending
