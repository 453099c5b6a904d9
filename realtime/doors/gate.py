"""The gate: asks everybody for a key, where the server has keys, and says who comes.

    Authorization: Bearer KEY                            programs and back ends
    Authorization: Bearer TOKEN                          made by `POST /tokens` for a client that should have no key
    Sec-WebSocket-Protocol: earpiece-token.TOKEN         browsers can set no other header on a WebSocket;
                            openai-insecure-api-key.KEY  as clients of OpenAI's Realtime API do, key or token
    /websocket/offer?token=TOKEN                         where not even that can be set; no key, as addresses are kept
    Cookie                                               the page, after a login

On a server without keys that strangers reach, the page makes up a cookie of its own: what is kept of one visitor is no
other's. Whoever shows nothing good gets the same answer, whatever was asked for. One gate stands in the entrance,
before every door. Read `keys.py` and `tokens.py` for what is shown, `rates.py` for how often, `login.py` for logins and
new tokens.
"""

import hashlib
import re
from collections.abc import Iterator, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from realtime.doors.callers import NOBODY, Caller, Proof, address_of
from realtime.doors.keys import PREFIX, Key, KeyFile
from realtime.doors.rates import Rates
from realtime.doors.refusal import Refusal
from realtime.doors.tokens import Tokens

Scope = MutableMapping[str, Any]

COOKIE = "earpiece_login"
VISITOR_COOKIE = "earpiece_visitor"  # made by visitor.js
VISITOR = re.compile(r"[0-9a-f]{32,64}")
TOKEN_PROTOCOL, OPENAI_PROTOCOL = "earpiece-token.", "openai-insecure-api-key."
READING = ("GET", "HEAD", "OPTIONS")
MAX_SHOWN_CHARACTERS = 4000  # of a header or a query that may hold a token

NEEDS_KEY = "this server asks for a key; send it as Authorization: Bearer KEY, or open the page and log in"


class Gate:
    """Says who comes.

    Args:
        keys: of those who may; None: everybody may, and nobody is asked.
        secret: signs tokens and logins, see `Tokens`.
        per_minute: requests of one key and of one address, see `Rates`.
        is_open: strangers reach the server, and nobody is asked for a key.

    Raises:
        ValueError: the secret is too short.
    """

    def __init__(
        self,
        keys: KeyFile | None = None,
        *,
        secret: str | None = None,
        per_minute: int | None = None,
        is_open: bool = False,
    ) -> None:
        self._is_open = is_open
        self._keys = keys
        self.tokens = Tokens(secret)
        self._rates = Rates(per_minute)

    @property
    def asks_for_keys(self) -> bool:
        """Whether it does."""
        return self._keys is not None

    async def identify(self, scope: Scope, *, is_public: bool) -> Caller:
        """Says who comes, and counts it.

        Args:
            scope: of the request or the WebSocket.
            is_public: it goes where everybody may.

        Raises:
            Refusal: nobody who may come in, or too often.
        """
        address = address_of(scope)
        if self._keys is None:
            visitor = _visitor(scope) if self._is_open else ""
            caller = Caller(address=address, is_let_in=True, visitor=visitor)
        elif is_public:
            caller = Caller(address=address)
        else:
            caller = await self._known(scope, self._keys, address)
        if scope["type"] == "websocket" or scope["method"] not in READING:
            await self._rates.count(caller)
        return caller

    async def key_of(self, text: str, address: str) -> Key:
        """Gives what is kept of a key that somebody has typed.

        Raises:
            Refusal: it is none.
        """
        key = None if self._keys is None else self._keys.find(text)
        if key is None:
            await self._rates.count_failure(address)
            raise unknown_caller()
        return key

    def key_named(self, caller: Caller) -> Key:
        """Gives what is kept of the key that a caller has shown.

        Raises:
            Refusal: it has been removed since.
        """
        key = None if self._keys is None else self._keys.named(caller.name)
        if key is None:
            raise unknown_caller()
        return key

    async def _known(self, scope: Scope, keys: KeyFile, address: str) -> Caller:
        shown, is_key_allowed = _shown_by(scope)
        if shown is not None:
            caller = self._holder_of(shown, keys, address, is_key_allowed=is_key_allowed)
            if caller is None:
                await self._rates.count_failure(address)
        else:
            caller = self._logged_in(scope, keys, address)
        if caller is None:
            raise unknown_caller()
        return caller

    def _holder_of(self, shown: str, keys: KeyFile, address: str, *, is_key_allowed: bool) -> Caller | None:
        if shown.startswith(PREFIX):
            key = keys.find(shown) if is_key_allowed else None
            return None if key is None else Caller(key.name, address, "key", is_let_in=True, key_id=key.id)
        named = self.tokens.read(shown, "token")
        return _holder(named, address, "token") if named and keys.holds(*named) else None

    def _logged_in(self, scope: Scope, keys: KeyFile, address: str) -> Caller | None:
        """Who has logged in; a cookie that is too old is no attempt to guess one, so it is not counted."""
        for login in _logins(scope):
            named = self.tokens.read(login, "login")
            if named and keys.holds(*named):
                return _holder(named, address, "login")
        return None


def _holder(named: tuple[str, str], address: str, proof: Proof) -> Caller:
    name, key_id = named
    return Caller(name, address, proof, is_let_in=True, key_id=key_id)


def unknown_caller() -> Refusal:
    """Gives the one answer to everybody who may not come in, which says nothing of what is behind."""
    return Refusal(401, "unauthorized", NEEDS_KEY, headers=[(b"www-authenticate", b'Bearer realm="earpiece"')])


def _logins(scope: Scope) -> Iterator[str]:
    """Gives the logins among the cookies; whatever else serves at this host may have left any others there."""
    return _cookies(scope, COOKIE)


def _visitor(scope: Scope) -> str:
    """Names a visitor by the cookie of the page, which nobody can guess; `NOBODY` without one."""
    shown = next((value for value in _cookies(scope, VISITOR_COOKIE) if VISITOR.fullmatch(value)), None)
    return NOBODY if shown is None else f"visitor {hashlib.sha256(shown.encode()).hexdigest()[:32]}"


def _cookies(scope: Scope, wanted: str) -> Iterator[str]:
    for header in _values(scope, b"cookie"):
        for cookie in header.split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == wanted:
                yield value


def without_tokens(protocols: Sequence[str]) -> list[str]:
    """Gives the protocols of a WebSocket but those that carry a key or a token, which doors need not see."""
    return [protocol for protocol in protocols if not protocol.startswith((TOKEN_PROTOCOL, OPENAI_PROTOCOL))]


def _shown_by(scope: Scope) -> tuple[str | None, bool]:
    """Gives the key or token that a request shows, if any, and whether a key may be there."""
    for header in _values(scope, b"authorization"):
        scheme, _, shown = header.partition(" ")
        if scheme.lower() == "bearer":
            return shown.strip(), True
    if scope["type"] == "websocket":
        for protocol in scope.get("subprotocols", []):
            if protocol.startswith(TOKEN_PROTOCOL):
                return protocol.removeprefix(TOKEN_PROTOCOL), False
            if protocol.startswith(OPENAI_PROTOCOL):
                return protocol.removeprefix(OPENAI_PROTOCOL), True
        query = scope.get("query_string", b"").decode("latin-1")
        if len(query) <= MAX_SHOWN_CHARACTERS and (tokens := parse_qs(query).get("token")):
            return tokens[0], False
    return None, False


def _values(scope: Scope, wanted: bytes) -> list[str]:
    return [
        value.decode("latin-1")
        for name, value in scope["headers"]
        if name.lower() == wanted and len(value) <= MAX_SHOWN_CHARACTERS
    ]
