"""The SFTP sink believes no server that it does not know, and says why one does not let it in."""

import getpass
import shutil
from pathlib import Path

import pytest

from tests.servers.ssh import (
    Server,
    Sinks,
    agent_with,
    make_key,
    needs_sshd,
    refused,
    room,
    run,
    serving,
)
from zfs_walk.sinks.errors import SinkError

pytestmark = [pytest.mark.slow, pytest.mark.big, needs_sshd]


def test_a_host_key_that_is_unknown_is_refused_and_shown(
    sshd: Server, tmp_path: Path, sftp_to: Sinks
) -> None:
    sink = sftp_to(sshd, room(sshd), known_hosts=[str(tmp_path / "none")])
    shown = fingerprint(sshd.folder / "host-key.pub")
    assert f"{shown} (ssh-ed25519) is unknown" in refused(sink)
    sftp_to(sshd, room(sshd), known_hosts=[], fingerprint=[shown]).check()


def fingerprint(key: Path) -> str:
    """As OpenSSH shows it."""
    return run("ssh-keygen", "-l", "-f", key).split()[1]


def test_a_host_key_that_is_another_one_is_refused(
    sshd: Server, tmp_path: Path, sftp_to: Sinks
) -> None:
    other = make_key(tmp_path / "other").with_suffix(".pub")
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {other.read_text()}")
    assert "not the one that is known" in refused(sftp_to(sshd, room(sshd), known_hosts=[known]))
    pinned = sftp_to(sshd, room(sshd), fingerprint=[fingerprint(other)])
    assert "not the one that is known" in refused(pinned)


def test_a_host_key_can_be_hashed_in_known_hosts_and_can_be_revoked(
    sshd: Server, tmp_path: Path, sftp_to: Sinks
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(sshd.known_hosts.read_text())
    run("ssh-keygen", "-q", "-H", "-f", known)
    assert known.read_text().startswith("|1|")
    sftp_to(sshd, room(sshd), known_hosts=[str(known)]).check()
    known.write_text(f"@revoked {sshd.known_hosts.read_text()}")
    assert "is revoked" in refused(sftp_to(sshd, room(sshd), known_hosts=[str(known)]))


def test_a_key_that_is_not_let_in_is_told(sshd: Server, tmp_path: Path, sftp_to: Sinks) -> None:
    other = make_key(tmp_path / "other")
    sink = sftp_to(sshd, room(sshd), key_file=[str(other)])
    assert f"{getpass.getuser()} is not let in with the key {other}" in refused(sink)
    missing = sftp_to(sshd, room(sshd), key_file=[str(tmp_path / "none")])
    assert "No such file" in refused(missing)


def test_an_encrypted_key_takes_its_password_from_a_file_or_the_environment(
    sshd: Server, tmp_path: Path, sftp_to: Sinks, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    shutil.copy(sshd.key, key)
    run("ssh-keygen", "-q", "-p", "-P", "", "-N", "the secret", "-f", key)
    assert "is encrypted" in refused(sftp_to(sshd, room(sshd), key_file=[str(key)]))
    (tmp_path / "password").write_text("the secret\n")
    in_file = {"key_file": [str(key)], "password_file": str(tmp_path / "password")}
    sftp_to(sshd, room(sshd), **in_file).check()
    monkeypatch.setenv("THE_PASSWORD", "the secret")
    in_environment = {"key_file": [str(key)], "password_env": "THE_PASSWORD"}
    sftp_to(sshd, room(sshd), **in_environment).check()
    monkeypatch.setenv("THE_PASSWORD", "another secret")
    said = refused(sftp_to(sshd, room(sshd), **in_environment))
    assert "secret" not in said


def test_a_key_of_the_agent_lets_in(sshd: Server, sftp_to: Sinks) -> None:
    with agent_with(sshd.key, sshd.folder / "agent"):
        sink = sftp_to(sshd, room(sshd), key_file=[])
        sink.check()
        sink.close()


def test_keys_are_agreed_upon_as_it_is_told(sftp_to: Sinks) -> None:
    """By both transports; what one of them does not know it passes over."""
    theirs, foreign = "ecdh-sha2-nistp384", "sntrup761x25519-sha512@openssh.com"
    with serving("sshd", f"KexAlgorithms {theirs}") as sshd:
        for transport in ("openssh", "paramiko"):
            told = [foreign, theirs]
            sftp_to(sshd, room(sshd), transport=transport, key_exchange=told).check()
            other = sftp_to(
                sshd, room(sshd), transport=transport, key_exchange=["curve25519-sha256"]
            )
            with pytest.raises(SinkError):
                other.check()
            other.close()
        for option in ("key_exchange", "ciphers"):
            unknown = sftp_to(sshd, room(sshd), **{option: ["none-such"]})
            assert f"{option}: none-such: known are " in refused(unknown)
