"""Places in a file's YAML, for messages about what is wrong there."""

from collections.abc import Iterator

import yaml

Where = tuple[str | int, ...]
"""Keys and places in lists that lead to a value."""


def line_of(node: yaml.Node) -> int:
    """The line of its file where a node begins, from 1."""
    return int(node.start_mark.line) + 1


def node_at(node: yaml.Node, where: Where) -> yaml.Node:
    """The node at a place, or the last one on the way to it."""
    for part in where:
        below = dict(_children(node)).get(part)
        if below is None:
            break
        node = below
    return node


def _children(node: yaml.Node) -> Iterator[tuple[str | int, yaml.Node]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield str(key.value).replace("-", "_"), value
    elif isinstance(node, yaml.SequenceNode):
        yield from enumerate(node.value)
