"""HTTP: /metrics, /healthz and /readyz, from a process of its own that is a client of the bus."""
