"""Whether a door has declared what it has opened; one that has not ends the start of the server.

The entrance would refuse what nobody declared. But a door that forgets to declare has forgotten more: whether strangers
may come that way, and how much they may send. Read `entrance.py` for ways.
"""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realtime.doors.entrance import Way


class Undeclared(Exception):
    """A door has routes that it has not declared, or has declared ways that lead nowhere."""


def check_declared(door: str, routes: Sequence[Any], ways: "Sequence[Way]") -> None:
    """Compares what a door has added to the application with what it has declared.

    Raises:
        Undeclared: they differ.
    """
    declared = {(way.kind, way.path, method) for way in ways for method in _methods(way)}
    found = [_way_of(door, route) for route in routes]
    opened = {(kind, path, method) for kind, path, methods in found for method in methods}
    if opened - declared:
        raise Undeclared(f"{door} opens {_sentence(opened - declared)} and declares no Way for it")
    if declared - opened:
        raise Undeclared(f"{door} declares {_sentence(declared - opened)}, where it opens nothing")


def _methods(way: "Way") -> tuple[str, ...]:
    return way.methods if way.kind == "http" else ("",)


def _way_of(door: str, route: Any) -> tuple[str, str, tuple[str, ...]]:
    path = getattr(route, "path", "")
    kind = "http" if getattr(route, "methods", None) else "websocket"
    if not path or not hasattr(route, "endpoint"):
        raise Undeclared(f"{door} mounts {route!r}; what is behind it cannot be declared, so add each route by itself")
    if ":path}" in path:
        raise Undeclared(f"{door} opens {path}; a name is one part of a path")
    methods = tuple(sorted(set(route.methods) - {"HEAD"})) if kind == "http" else ("",)
    return kind, path, methods


def _sentence(ways: Collection[tuple[str, str, str]]) -> str:
    return ", ".join(sorted(f"{method or kind} {path}" for kind, path, method in ways))
