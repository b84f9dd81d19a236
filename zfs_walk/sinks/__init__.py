"""Where files go: one class for each kind of place, with no knowledge of queues or watchers."""
