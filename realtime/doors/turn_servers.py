"""TURN servers by somebody else's account: what opens them is asked for, used by all visits, and renewed in time.

A network that lets no direct way through needs a relay. Hugging Face lends Cloudflare's to whoever has a token, Twilio
sells its own. What either gives expires, so it is asked for again after half of its life. Where that fails, what there
is is used to its end, then visits go without a relay; the log says what to do. Read `webrtc.py` for who uses them.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import httpx
from fastrtc import get_cloudflare_turn_credentials_async

logger = logging.getLogger(__name__)

IceServer = dict[str, Any]  # as the WebRTC API has it: urls, username, credential

LIFE_S = 3600  # of what is asked for; a connection that has begun is not cut off at its end
FETCH_TIMEOUT_S = 5.0
RETRY_AFTER_S = 30.0  # of a failure; meanwhile nobody waits for another one
TWILIO_URL = "https://api.twilio.com/2010-04-01/Accounts/{account}/Tokens.json"


class TurnUnavailable(Exception):
    """No relay is to be had; the message says why and what to do."""


class TurnAccount(Protocol):
    """Whose relays are used."""

    async def fetch(self, life_s: int) -> list[IceServer]:
        """Asks for relays that can be used for so many seconds.

        Raises:
            TurnUnavailable: there are none.
        """
        ...


@dataclass(frozen=True, slots=True)
class HuggingFaceTurn:
    """Cloudflare's relays, lent by FastRTC's service to whoever has a Hugging Face token."""

    token: str

    async def fetch(self, life_s: int) -> list[IceServer]:
        """Asks for relays."""
        try:
            given = await get_cloudflare_turn_credentials_async(hf_token=self.token, ttl=life_s)
        except httpx.HTTPError as error:
            raise TurnUnavailable(f"Hugging Face's relays cannot be asked for ({type(error).__name__})") from error
        except Exception as error:  # FastRTC raises nothing narrower for a refusal
            hint = "check that HF_TOKEN is a valid token, made in the settings of your account"
            raise TurnUnavailable(f"Hugging Face lends no relays; {hint} ({_short(error)})") from error
        return _servers_of(given, "iceServers")


@dataclass(frozen=True, slots=True)
class TwilioTurn:
    """Twilio's relays."""

    account: str
    token: str
    url: str = TWILIO_URL

    async def fetch(self, life_s: int) -> list[IceServer]:
        """Asks for relays."""
        try:
            async with httpx.AsyncClient(timeout=FETCH_TIMEOUT_S) as client:
                url = self.url.format(account=self.account)
                response = await client.post(url, data={"Ttl": str(life_s)}, auth=(self.account, self.token))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TurnUnavailable(f"Twilio's relays cannot be asked for ({type(error).__name__})") from error
        if not response.is_success:
            hint = "check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN against Twilio's console"
            raise TurnUnavailable(f"Twilio gives no relays; {hint} (status {response.status_code})")
        try:
            given = response.json()
        except ValueError as error:
            raise TurnUnavailable("Twilio answered something that is not JSON; try again later") from error
        return _servers_of(given, "ice_servers")


def _servers_of(given: Any, name: str) -> list[IceServer]:
    """The servers in an answer, with the fields that browsers know."""
    listed = given.get(name) if isinstance(given, dict) else None
    listed = [listed] if isinstance(listed, dict) else listed  # Cloudflare's older form
    if not isinstance(listed, list) or not all(isinstance(server, dict) and "urls" in server for server in listed):
        raise TurnUnavailable("the answer names no relays; try again later, or give your own with --ice-servers")
    return [{key: server[key] for key in ("urls", "username", "credential") if server.get(key)} for server in listed]


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


class TurnServers:
    """Relays of one account, for all visits.

    Args:
        account: where they come from.
        now: of a clock that only goes forward, in seconds.
    """

    def __init__(self, account: TurnAccount, now: Callable[[], float] | None = None) -> None:
        self._account = account
        self._now = now
        self._servers: list[IceServer] = []
        self._fetched_s = -float("inf")
        self._failed_s = -float("inf")
        self._fetching = asyncio.Lock()

    async def current(self) -> list[IceServer]:
        """Gives what can be used now; nothing, if nothing is to be had."""
        async with self._fetching:
            now_s = (self._now or asyncio.get_running_loop().time)()
            if now_s - self._fetched_s > LIFE_S / 2 and now_s - self._failed_s > RETRY_AFTER_S:
                await self._fetch(now_s)
            return self._servers if now_s - self._fetched_s < LIFE_S else []

    async def _fetch(self, now_s: float) -> None:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                self._servers = await self._account.fetch(LIFE_S)
        except (TurnUnavailable, TimeoutError) as error:
            self._failed_s = now_s
            reason = str(error) or f"nothing has come for {FETCH_TIMEOUT_S:g} s"
            logger.error("TURN: %s; until then, networks that need a relay are served over a WebSocket", reason)
        else:
            self._fetched_s = now_s
