"""Whose part is sent next."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

from tests.process.place import wait_for
from zfs_walk.sinks.s3_turns import Rank, Turns


def test_of_those_that_wait_the_oldest_upload_comes_first() -> None:
    turns, go, order = Turns(1), threading.Event(), list[Rank]()
    ranks = [(upload, part) for upload in (2, 0, 1) for part in (2, 1)]
    waiting = turns._waiting

    def send(rank: Rank) -> None:
        with turns.turn(rank):
            order.append(rank)
            go.wait(10)

    with ThreadPoolExecutor(len(ranks) + 1) as pool:
        pool.submit(send, (9, 9))
        wait_for("the first one to have its turn", lambda: order == [(9, 9)])
        for rank in ranks:
            pool.submit(send, rank)
        wait_for("all to wait", lambda: len(waiting) == len(ranks))
        go.set()
    assert order == [(9, 9), *sorted(ranks)]


def test_so_many_have_their_turn_at_a_time() -> None:
    turns, lock, together = Turns(3), threading.Lock(), threading.Barrier(3, timeout=10)
    now: list[int] = []
    most = 0

    def send(number: int) -> None:
        nonlocal most
        with turns.turn((turns.upload(), number)):
            with lock:
                now.append(number)
                most = max(most, len(now))
            together.wait()
            with lock:
                now.remove(number)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(send, range(60)))
    assert most == 3
    with turns.turn((0, 0)):  # each was given back
        pass


def test_a_turn_is_given_back_by_whoever_fails() -> None:
    turns = Turns(1)
    for _ in range(2):
        with contextlib.suppress(OSError), turns.turn((turns.upload(), 1)):
            raise OSError
    with turns.turn((0, 0)):
        pass
