"""ChatML, as the Qwen and SmolLM language models read it.

The beginning of a longer conversation is written exactly like the shorter one.
"""

from collections.abc import Callable, Sequence
from typing import Any

from models.engine.prompt import Prompt
from models.prompts.writer import PromptWriter
from models.types import Message


def write_chatml(
    tokenizer: Any,
    messages: Sequence[Message],
    write_content: Callable[[PromptWriter, Message], None],
    default_system_prompt: str | None = None,
) -> Prompt:
    """ChatML: <|im_start|>role, a line, the content, <|im_end|>, a line.

    Args:
        tokenizer: has both marks.
        messages: the conversation; an assistant's message at its end stays open, to be continued.
        write_content: writes what one message says.
        default_system_prompt: what the family's template adds where the conversation has none.

    Raises:
        ModelUnavailable: the tokenizer lacks a mark.
    """
    writer = PromptWriter(tokenizer)
    if messages[0].role != "system" and default_system_prompt is not None:
        messages = [Message("system", (default_system_prompt,)), *messages]
    for message in messages:
        writer.add_mark("<|im_start|>")
        writer.add_text(f"{message.role}\n")
        write_content(writer, message)
        if message is not messages[-1] or message.role != "assistant":
            writer.add_mark("<|im_end|>")
            writer.add_text("\n")
    if messages[-1].role != "assistant":
        writer.add_mark("<|im_start|>")
        writer.add_text("assistant\n")
    return writer.spans()
