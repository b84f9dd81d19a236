"""What whoever knows the keys tells the authenticator."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a key may connect.

    Attributes:
        refusal: why it may not; empty: it may.
        name: of the key, if it is known.
    """

    refusal: str
    name: str = ""


class Judge(Protocol):
    """Knows the keys; called in the authenticator's thread."""

    def judge(self, domain: str, public: str) -> Verdict:
        """Whether this public key (Z85) may connect to a socket of this domain."""
        ...
