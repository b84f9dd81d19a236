"""The form of the names that people give to agents, mappings and loads."""

from typing import Final

NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
"""The whole of a name."""

NAME_FORM: Final = "up to 100 letters, digits, '.', '_' and '-', a letter or digit first"
"""The same in words, for messages."""
