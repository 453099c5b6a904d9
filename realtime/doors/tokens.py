"""Tokens: signed by this server, good for a while, instead of a key where a key should not be.

A back end makes one for a browser client, which then needs no key; the page keeps one in a cookie. Each names the key
for which it was made, and is good no longer than that. They are JSON Web Tokens (RFC 7519), signed by PyJWT with
HMAC-SHA-256. Read `gate.py` for who asks.
"""

import secrets
import time
from typing import Literal

import jwt

from realtime.doors.keys import Key

TOKEN_LIFE_S = 600.0  # for a browser to load a page, and for its person to begin
LOGIN_LIFE_S = 7 * 86_400.0
MIN_SECRET_CHARACTERS = 32  # RFC 7518, section 3.2: no shorter than the hash
MAX_CHARACTERS = 1000
ALGORITHM = "HS256"

Purpose = Literal["token", "login"]


def check_secret(secret: str | None) -> None:
    """Looks whether tokens can be signed with a secret.

    Raises:
        ValueError: it is too short.
    """
    if secret is not None and len(secret) < MIN_SECRET_CHARACTERS:
        raise ValueError(
            f"EARPIECE_TOKEN_SECRET has {len(secret)} characters; give {MIN_SECRET_CHARACTERS} or more, at random"
        )


class Tokens:
    """Makes tokens, and reads those that were made with the same secret.

    Args:
        secret: shared by all processes that are to take them; None: one of this process alone.

    Raises:
        ValueError: it is too short.
    """

    def __init__(self, secret: str | None = None) -> None:
        check_secret(secret)
        self._secret = secret or secrets.token_urlsafe(MIN_SECRET_CHARACTERS)

    def make(self, key: Key, purpose: Purpose, life_s: float) -> str:
        """Makes a token for whoever has a key."""
        claims = {"sub": key.name, "kid": key.id, "aud": purpose, "exp": time.time() + life_s}
        return jwt.encode(claims, self._secret, ALGORITHM)

    def read(self, token: str, purpose: Purpose) -> tuple[str, str] | None:
        """Gives the name and the `id` of the key for which a token was made; None if it is not good, or no more."""
        if len(token) > MAX_CHARACTERS:
            return None
        required = ["sub", "kid", "aud", "exp"]
        try:
            claims = jwt.decode(token, self._secret, [ALGORITHM], audience=purpose, options={"require": required})
        except jwt.InvalidTokenError:
            return None
        return str(claims["sub"]), str(claims["kid"])
