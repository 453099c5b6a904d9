"""Keys and values that grow, and that windows look at."""

import asyncio
from typing import Any

from models.engine.kv_cache import STATIC_TOKENS
from tests.models.engine.probing import mistral, reference, running, some_ids, tokens_of


async def test_a_static_batch_grows_where_it_has_to(model: Any) -> None:
    ids, n_new = some_ids(STATIC_TOKENS - 20), 40
    found = []
    for static in (True, False):
        async with running(model, static=static, context_tokens=2 * STATIC_TOKENS, prefill_chunk_tokens=512) as engine:
            found.append(await tokens_of(engine, ids, n_new, "a"))
    assert found[0] == found[1]


async def test_sliding_windows_stay_exact_and_can_be_cut() -> None:
    model = mistral()
    ids = some_ids(60)
    async with running(model) as engine:
        assert await tokens_of(engine, ids, 20, "a") == reference(model, ids, 20)
        retracted = [*ids[:40], 5, 6, 7]
        first, second = await asyncio.gather(
            tokens_of(engine, retracted, 20, "a"), tokens_of(engine, some_ids(30, 9), 20, "b")
        )
    assert first == reference(model, retracted, 20)
    assert second == reference(model, some_ids(30, 9), 20)
