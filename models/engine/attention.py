"""Attention of new positions over a cached prefix, on a CPU, without a mask and without copies of keys.

transformers' own way hides the future from a chunk behind a prefix by a mask of (new, all) positions, which torch turns
into floats again in every layer, and it repeats keys and values for every query head that shares them. Here a chunk
attends to the prefix, all of which it may see, and to itself, causally; the two results are weighed by the sums of
their exponentials (Dao et al., "FlashAttention", 2022, section 3.1). A single new position sees all, and needs one of
the two. What is not a plain causal chunk behind a prefix goes transformers' way.
Read `kv_cache.py` for where the prefix comes from.
"""

from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask

NAME = "prefix"

# The only attention of torch on a CPU that also gives the logarithms of the sums of exponentials.
_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def use_prefix_attention(model: Any) -> None:
    """Has a transformers model on a CPU attend as this file does, if it attends through torch's own function."""
    decoder = getattr(model, "decoder", model)
    if not isinstance(decoder, PreTrainedModel) or decoder.device.type != "cpu":
        return
    if decoder.config._attn_implementation == "sdpa":
        decoder.set_attn_implementation(NAME)


def attend_behind_prefix(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None = None
) -> torch.Tensor:
    """Attention of the last positions: each sees the whole prefix, the new positions before it, and itself.

    Args:
        query: (1, heads, new positions, head size).
        key: (1, key heads, all positions, head size); each of them serves heads / key heads neighbours in `query`.
        value: like `key`.
        scale: of the scores; None is one over the root of the head size.

    Returns:
        (1, heads, new positions, head size)
    """
    n_heads, n_new, head_size = query.shape[1:]
    n_old = key.shape[2] - n_new
    # The heads that share a key become more positions of one head: nothing is causal here, and long blocks are faster.
    packed = query.reshape(1, key.shape[1], -1, head_size)
    before, before_log_sum = _flash(packed, key[:, :, :n_old], value[:, :, :n_old], scale=scale)
    within, within_log_sum = _flash(query, key[:, :, n_old:], value[:, :, n_old:], is_causal=True, scale=scale)
    weight = torch.sigmoid(before_log_sum.reshape(1, n_heads, n_new) - within_log_sum)[..., None].to(within.dtype)
    return torch.lerp(within, before.reshape(1, n_heads, n_new, head_size), weight)


def attend_to_all(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float | None = None
) -> torch.Tensor:
    """Attention of one new position, the last, which sees all; shapes as above, of any number of rows.

    torch's own way with heads that share keys takes 8 to 15 times as long.
    """
    packed = query.reshape(len(key), key.shape[1], -1, query.shape[3])
    output: torch.Tensor = _flash(packed, key, value, scale=scale)[0]
    return output.reshape(query.shape)


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers' layers call it: gives (rows, new positions, heads, head size)."""
    is_behind_prefix = attention_mask is None and query.shape[2] < key.shape[2]
    if not is_behind_prefix or settings.get("softcap") is not None:  # the latter is refused there
        output: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **settings
        )
        return output
    attend = attend_to_all if query.shape[2] == 1 else attend_behind_prefix
    return attend(query, key, value, settings.get("scaling")).transpose(1, 2).contiguous(), None


def _mask(*, mask_function: Any, attention_mask: torch.Tensor | None, **settings: Any) -> torch.Tensor | None:
    """No mask where a chunk sees all before it; sliding windows, padding and whatever else is special keep theirs."""
    is_plain = mask_function is causal_mask_function and attention_mask is None and settings["batch_size"] == 1
    if is_plain and settings.get("allow_is_causal_skip", True):
        return None
    mask: torch.Tensor | None = sdpa_mask(mask_function=mask_function, attention_mask=attention_mask, **settings)
    return mask


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, _mask)
