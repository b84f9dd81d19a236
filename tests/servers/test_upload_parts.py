"""A file that is sent in parts: how many there are is seen by whoever listens, asks, or reads.

The oracle is the S3 server's own list of parts.
"""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.process.following import Follower
from tests.process.mirroring import Mirrored, mirroring
from tests.process.place import Process, Site, places, wait_for
from tests.servers.s3 import BUCKET, CREDENTIALS, Home

pytestmark = [pytest.mark.slow, pytest.mark.big]

MIB = 1 << 20
PART, PARTS = 5 * MIB, 12
SIZE = PART * PARTS - 1_000


class Scene:
    """A broker, and an uploader to S3."""

    def __init__(self, mirrored: Mirrored, home: Home) -> None:
        self.mirrored, self.home = mirrored, home
        self.site = Site(mirrored.place)
        self.site.start_broker("--heartbeat", "0.3")
        mirrored.place.env.update(CREDENTIALS)

    def configure(self, bwlimit: int) -> None:
        options = self.home.options(part_size=PART, multipart_above=PART, part_transfers=2)
        self.mirrored.configure(
            {"bwlimit": bwlimit, "notify": "file"}, to=self.home.url, options=options
        )

    def start(self) -> Process:
        return self.mirrored.start("--broker", self.site.endpoint)

    def there(self) -> int:
        """Parts of unfinished uploads that the server has."""
        boto = self.home.server.boto()
        uploads = boto.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        return sum(
            len(boto.list_parts(Bucket=BUCKET, Key=each["Key"], UploadId=each["UploadId"])
                .get("Parts", []))
            for each in uploads
        )  # fmt: skip

    def asked(self) -> list[Any]:
        """What `zfs-ctl upload list` shows of what is being sent."""
        found = self.site.ctl("upload", "list")["uploaders"]
        return [one for each in found for one in each["transfers"] if one["path"] == "large"]

    def told(self) -> list[tuple[int, int]]:
        """What the database has of it."""
        file = self.mirrored.state / "notifications.db"
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
            query = "SELECT parts_done, parts FROM zfs_walk_transfer WHERE path_text = 'large'"
            return db.execute(query).fetchall()


@pytest.fixture
def scene(weed_home: Home) -> Iterator[Scene]:
    for place in places():
        for mirrored in mirroring(place):
            made = Scene(mirrored, weed_home)
            yield made
            made.site.close()


def of_large(follower: Follower) -> list[Any]:
    said = [each for each in follower.said("transfer") if each["path"] == "large"]
    return [each for each in said if each["parts"]]


def test_the_parts_of_an_upload_are_seen_also_those_of_a_killed_process(scene: Scene) -> None:
    scene.configure(4 * MIB)
    follower = Follower(scene.site)
    uploader = scene.start()
    (scene.mirrored.data / "large").write_bytes(os.urandom(SIZE))
    wait_for("some parts are heard", lambda: max(
        (each["parts_done"] for each in of_large(follower)), default=0) >= 3)  # fmt: skip
    [asked] = scene.asked()
    assert (asked["parts"], asked["parts_done"] >= 3) == (PARTS, True)
    wait_for("the database has it", lambda: [
        done for done, parts in scene.told() if parts == PARTS and done >= 3
    ])  # fmt: skip
    shown = scene.mirrored.place.run("ctl", "upload", "list", "--broker", scene.site.endpoint)
    assert f" of {PARTS} parts" in shown.out
    uploader.kill()
    assert scene.mirrored.place.end(uploader).code == -signal.SIGKILL
    first = of_large(follower)
    done = [each["parts_done"] for each in first]
    assert done == sorted(done)
    there = scene.there()
    assert done[-1] <= there < PARTS, "no part was told that the server has not, and it was open"
    uploader = scene.start()
    wait_for("it goes on", lambda: of_large(follower)[len(first):])  # fmt: skip
    again = of_large(follower)[len(first)]
    assert again["publisher"] != first[0]["publisher"]
    assert again["parts_done"] >= done[-1], "what was there counts"
    assert again["sent"] < (PARTS - done[-1] + 2) * PART
    scene.mirrored.end(uploader)
    scene.configure(0)
    uploader = scene.start()
    wait_for("it is sent", lambda: follower.stages().get("large", [""])[-1] == "sent")
    assert scene.home.head(b"large")["ContentLength"] == SIZE
    assert scene.home.head(b"large")["ETag"].strip('"').endswith(f"-{PARTS}")
    assert {(each["size"], each["parts"]) for each in of_large(follower)} == {(SIZE, PARTS)}
    assert json.dumps(follower.said()).count(CREDENTIALS["AWS_SECRET_ACCESS_KEY"]) == 0
    scene.mirrored.end(uploader)
