"""Backup and restore as docs/operations.md has them, with its own commands."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process import oracle
from tests.process.place import Site, wait_for

PAGE = Path(__file__).parents[2] / "docs/operations.md"


def block(word: str) -> str:
    """The sh block of the page that has this word."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    [found] = [code for code in blocks if word in code]
    return str(found).replace("broker-state", "broker").replace("python3", sys.executable)


@pytest.mark.slow
def test_a_journal_is_copied_alive_and_restored(site: Site, tree: Path) -> None:
    def run(code: str) -> None:
        subprocess.run(["/bin/sh", "-euc", code], cwd=site.place.folder, check=True)

    broker = site.start_broker("--heartbeat", "0.3")
    site.start_agents(1)
    assert site.place.end(site.walk(tree)).code == 0
    run(block("vacuum into"))
    assert site.place.end(site.walk(tree)).code == 0
    assert [line["run"] for line in site.ctl("run", "list")["runs"]] == [2, 1]
    broker.kill()
    site.place.end(broker)
    run(block("cp journal-copy.db"))
    site.start_broker("--heartbeat", "0.3")
    wait_for("the agent is back", lambda: site.ctl("agent", "list")["agents"][0]["state"] == "live")
    assert [line["run"] for line in site.ctl("run", "list")["runs"]] == [1]
    site.verify(1)
    again = site.place.end(site.walk(tree))
    oracle.same_totals(again.json, oracle.totals(tree))
    site.verify(2)
