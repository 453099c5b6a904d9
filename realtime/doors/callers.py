"""Who comes: what the entrance finds out about the sender of a request, and every door hands on to the lobby.

Read `gate.py` for how it is found out, `lobby.py` for what depends on it.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

Owner = tuple[str, str]  # the name of a key, and its `id`: a later key of the same name is another's

ANONYMOUS = "anonymous"  # whoever comes to a server that asks for no key
UNKNOWN_ADDRESS = "unknown"
NOBODY = "nobody"  # has what belongs to a visitor who shows no cookie; it is given to no one
REQUESTS_PER_MINUTE = 300  # a page that reconnects all the time sends 100: offers, candidates, a WebSocket each time
_PLACE = "earpiece.caller"

Proof = Literal["nothing", "key", "token", "login"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, or opened a WebSocket.

    Attributes:
        name: of the key; `ANONYMOUS` without one.
        address: from which it came.
        proof: what was shown: a key, a short-lived token, the cookie of a login, or nothing.
        key_id: tells the key from an earlier or later one of the same name; "" without one.
        is_let_in: may have a session. A server without keys lets everybody in; on one with keys, who shows nothing
            gets to public ways alone.
        visitor: tells those apart who come to a server without keys that strangers reach; "" where all are one.
    """

    name: str = ANONYMOUS
    address: str = UNKNOWN_ADDRESS
    proof: Proof = "nothing"
    is_let_in: bool = False
    key_id: str = ""
    visitor: str = ""

    @property
    def owner(self) -> Owner:
        """Whose a session is that this caller begins."""
        return self.name, self.key_id

    @property
    def stored_owner(self) -> str:
        """Whose that is which a store keeps of this caller; "" where nobody is told apart."""
        return f"{self.name} {self.key_id}" if self.key_id else self.visitor


def address_of(scope: MutableMapping[str, Any]) -> str:
    """Gives the address from which a connection comes; a trusted proxy has said it, where there is one."""
    client = scope.get("client")
    return str(client[0]) if client else UNKNOWN_ADDRESS


def set_caller(scope: MutableMapping[str, Any], caller: Caller) -> None:
    """Notes who comes; the entrance does, once."""
    scope[_PLACE] = caller


def caller_of(scope: MutableMapping[str, Any]) -> Caller:
    """Gives who comes; of a connection that has not passed the entrance: somebody who is not let in."""
    caller: Caller = scope.get(_PLACE) or Caller(address=address_of(scope))
    return caller
