"""Scouts that see what a test tells them: programs that speak as a scout does, over the real bus.

So names and figures are the test's own, and no file system has to have them.
"""

import json
import os
from collections.abc import Iterable
from typing import Any

from tests.process.place import Process, Site

Row = tuple[bytes, int, int, int]
"""Name, size, mtime in ns, flags."""

SCOUT = """
import json, os, sys, time
from zfs_walk.bus.curve import Curve
from zfs_walk.bus.ends import Waiter
from zfs_walk.bus.sockets import Bus
from zfs_walk.config.connection import stored_for
from zfs_walk.protocol.codec import BUS
from zfs_walk.protocol.files import Claim, Claimed, ClaimRefused, Files, FilesAck, Place, Resync
from zfs_walk.protocol.messages import Bye, ByeAck, Heartbeat, Hello, Welcome

broker, host, name, number = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
path = bytes.fromhex(sys.argv[5])
PIECE, WINDOW = 2000, 4

key = stored_for(broker)
bus = Bus(Curve(key.public, key.secret, key.server))
dealer = bus.dealer(broker, f"scout/{host}")
waiter = Waiter()
waiter.add(dealer)
waiter.add(0)
answers = Waiter()
answers.add(dealer)
beats = generation = version = acked = 0
beaten = time.monotonic()

def send(message):
    while dealer.send(BUS.encode(message)).name != "ACCEPTED":
        waiter.until_writable(dealer, wanted=True)
        waiter.wait(0.2)
        waiter.until_writable(dealer, wanted=False)

def beat():
    global beats, beaten
    if time.monotonic() > beaten + 0.2:
        beats += 1
        beaten = time.monotonic()
        send(Heartbeat(beats, (), 0, True, "", (), 1, 1, 0))

def claim(serving, why):
    place = Place(1, 1000 + number)
    send(Claim(1, path, place, (Place(1, 1),), "poll", serving, why))

def hear(*kinds):
    '''Wait for a message of one of these kinds; heartbeats go on.'''
    global acked
    while True:
        beat()
        frames = dealer.receive()
        if frames is None:
            answers.wait(0.1)
            continue
        message = BUS.decode(frames)
        if isinstance(message, FilesAck):
            acked = message.version
        if isinstance(message, Resync | ClaimRefused):
            sys.exit(str(message))
        if isinstance(message, kinds):
            return message

def send_files(told):
    global generation, version
    rows = [(bytes.fromhex(row[0]), *row[1:]) for row in told["rows"]]
    rows += [(b"many/%08d" % count, count, 10**18 + count, 0) for count in range(told["many"])]
    removed = tuple(bytes.fromhex(each) for each in told["removed"])
    whole = told["whole"]
    if whole:
        generation, version = generation + 1, 0
        rows.sort()
    for first in range(0, max(1, len(rows)), PIECE):
        piece = rows[first:first + PIECE]
        version += 1
        columns = tuple(zip(*piece)) or ((), (), (), ())
        last = whole and first + PIECE >= len(rows)
        send(Files(1, generation, version, whole, last, removed, *columns))
        removed = ()
        while acked < version - WINDOW:
            hear(FilesAck)
    while acked < version:
        hear(FilesAck)

send(Hello(1, 1, "scout", host, name, os.urandom(8).hex(), 1, os.getpid(), "0", 1, (), 0))
hear(Welcome)
claim(False, "the first list is incomplete")
hear(Claimed)
print("claimed", flush=True)
while True:
    beat()
    if 0 not in waiter.wait(0.2):
        while dealer.receive() is not None:
            pass
        continue
    line = sys.stdin.readline()
    if not line:
        break
    told = json.loads(line)
    if "rows" in told:
        if told["whole"]:
            acked = 0
        send_files(told)
        if told["whole"]:
            claim(True, "")
            hear(Claimed)
    else:
        claim(told["serving"], told["why"])
        hear(Claimed)
    print("done", flush=True)
send(Bye("over"))
hear(ByeAck)
dealer.close()
bus.close()
"""


class Scout:
    """One scout with one claim, told what to see."""

    def __init__(self, site: Site, host: str, path: bytes, number: int) -> None:
        self.host, self.path = host, path
        self.process: Process = site.place.start_python(
            SCOUT, site.endpoint, host, f"scout-{number}", str(number), path.hex(), talk=True
        )
        self._wait("claimed")

    def see(self, rows: Iterable[Row], many: int = 0) -> None:
        """Begin a new list, of these rows and ``many`` others, and serve it."""
        self._tell(whole=True, rows=_plain(rows), removed=[], many=many)

    def change(self, rows: Iterable[Row] = (), removed: Iterable[bytes] = ()) -> None:
        """These rows are new or other ones; these names are gone."""
        gone = [name.hex() for name in removed]
        self._tell(whole=False, rows=_plain(rows), removed=gone, many=0)

    def serve(self, why_not: str = "") -> None:
        """Serve, or do so no more."""
        self._tell(serving=not why_not, why=why_not)

    def end(self) -> None:
        """Leave in order."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(20) == 0, self.process.stderr

    def stop(self, number: int) -> None:
        """Send its process a signal."""
        os.kill(self.process.pid, number)

    def _tell(self, **fields: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(fields) + "\n")
        self.process.stdin.flush()
        self._wait("done")

    def _wait(self, word: str) -> None:
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        if said != word:
            assert self.process.stderr is not None
            raise AssertionError(said + self.process.stderr.read())


def _plain(rows: Iterable[Row]) -> list[tuple[str, int, int, int]]:
    return [(name.hex(), size, mtime, flags) for name, size, mtime, flags in rows]
