"""Rates and sizes as people write them."""

import re
from typing import Final

RATE_FORM: Final = "bytes a second, such as 500000, 512K, 10M or 1G (of 1,024 each); 0: no limit"

SIZE_FORM: Final = "bytes, such as 4096, 64K, 1M or 10G (of 1,024 each)"

_RATE: Final = re.compile(r"(\d{1,15})([KMGT]?)", re.IGNORECASE)


def parse_rate(text: str) -> int:
    """Bytes a second, of a text of the form `RATE_FORM`.

    Raises:
        ValueError: it has another form.
    """
    found = _RATE.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    return int(found[1]) << 10 * " KMGT".index(found[2].upper() or " ")


def parse_size(text: str) -> int:
    """Bytes, of a text of the form `SIZE_FORM`.

    Raises:
        ValueError: it has another form.
    """
    return parse_rate(text)
