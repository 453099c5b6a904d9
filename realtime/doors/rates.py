"""How often somebody may ask: requests that begin or change something, by key and by address, and failed logins.

What only reads is not counted. The counts are in this process's memory, and gone after a minute. Read `gate.py`.
"""

import ipaddress
import math
import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from realtime.doors.callers import Caller
from realtime.doors.refusal import Refusal

FAILURES_PER_MINUTE = 10
NETWORK_BITS = 64  # of IPv6: what one household has (RFC 6177)


class Rates:
    """Counts what comes.

    Args:
        per_minute: of one key, and of one address; None: any number.
    """

    def __init__(self, per_minute: int | None) -> None:
        self._limit = None if per_minute is None else RateLimitItemPerMinute(per_minute)
        self._failures = RateLimitItemPerMinute(FAILURES_PER_MINUTE)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def count(self, caller: Caller) -> None:
        """Counts one request.

        Raises:
            Refusal: there were too many.
        """
        if self._limit is None:
            return
        who = [("address", _network_of(caller.address))]
        who += [("key", caller.name)] if caller.proof != "nothing" else []
        for kind, name in who:
            if not await self._limiter.hit(self._limit, kind, name):
                raise await self._refusal(self._limit, kind, name, f"requests in a minute from this {kind}")

    async def count_failure(self, address: str) -> None:
        """Counts a key or a token that was not good.

        Raises:
            Refusal: there were too many from that address. Whoever has a good one is let in all the same: nobody can
                guess a key, and a neighbour's mistakes shut nobody out.
        """
        network = _network_of(address)
        if not await self._limiter.hit(self._failures, "failure", network):
            raise await self._refusal(self._failures, "failure", network, "wrong keys in a minute from this address")

    async def _refusal(self, limit: RateLimitItemPerMinute, kind: str, name: str, what: str) -> Refusal:
        stats = await self._limiter.get_window_stats(limit, kind, name)
        wait_s = max(1, math.ceil(stats.reset_time - time.time()))
        message = f"more than {limit.amount} {what}; try again in {wait_s} seconds"
        return Refusal(429, "too_many_requests", message, headers=[(b"retry-after", str(wait_s).encode())])


def _network_of(address: str) -> str:
    """Gives the address that one client has; of IPv6 the whole network, for a client has as many as it likes."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 4:
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), NETWORK_BITS), strict=False))
