"""What a broker is told at its start: time limits, what it keeps, where its sockets are."""

from dataclasses import dataclass

from zfs_walk.protocol.records import NO_ENDPOINTS, Endpoints


@dataclass(frozen=True, slots=True)
class Settings:
    """Time limits, the protocol's defaults (docs/protocol.md section 6), and endpoints.

    Attributes:
        heartbeat: least seconds between two heartbeats of an agent.
        lease_ttl: least seconds that a lease lasts without being renewed.
        grace: seconds that an unreachable agent has to say HELLO again.
        commit_interval: longest time in seconds between two commits of a unit.
        window: commits of a unit that may be on their way unacknowledged.
        host: the broker's own.
        insecure: whoever can connect may do everything.
        keep_runs: seconds that a run is kept after its end; 0: for ever.
        endpoints: where the broker's other sockets are, for WELCOME.
        most_files: rows of all scouts' lists together; 170 bytes of memory each, and the name.
        most_name_bytes: of the names in them.
        grant_items: items that one GRANT carries at most; ``grant_bytes``: of paths.
    """

    heartbeat: float = 1.0
    lease_ttl: float = 15.0
    grace: float = 3.0
    commit_interval: float = 5.0
    window: int = 4
    host: str = ""
    insecure: bool = False
    keep_runs: float = 30 * 86_400.0
    endpoints: Endpoints = NO_ENDPOINTS
    most_files: int = 20_000_000
    most_name_bytes: int = 4 * 2**30
    grant_items: int = 10_000
    grant_bytes: int = 8 * 2**20
