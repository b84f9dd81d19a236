"""Settings from files; imported by the commands only."""
