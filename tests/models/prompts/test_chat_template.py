"""Conversations through chat templates of many kinds: nothing lost, no marks but the template's, lasting beginnings."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from models.engine.prompt import AudioSpan, TokenSpan
from models.errors import InvalidPrompt, ModelUnavailable
from models.prompts.chat_template import ChatTemplate
from models.prompts.writer import PromptWriter
from models.types import SAMPLE_RATE_HZ, AudioClip, Message
from tests.models.tiny import gemma4
from tests.models.tiny.family import byte_tokenizer
from tests.models.tiny.ultravox import LLAMA_MARKS, LLAMA_TEMPLATE, QWEN_MARKS, QWEN_TEMPLATE

GEMMA_MARKS = ("<bos>", "<start_of_turn>", "<end_of_turn>")
GEMMA_TEMPLATE = (  # no system role, and strict turns
    "{{ bos_token }}{% if messages[0].role == 'system' %}{% set first = messages[0].content + '\n\n' %}"
    "{% set turns = messages[1:] %}{% else %}{% set first = '' %}{% set turns = messages %}{% endif %}"
    "{% for turn in turns %}{% if (turn.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}"
    "<start_of_turn>{{ 'model' if turn.role == 'assistant' else turn.role }}\n"
    "{% if loop.first %}{{ first }}{% endif %}{{ turn.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
TEMPLATES = {  # and what they write for a clip, if they know clips
    "llama": (LLAMA_MARKS, LLAMA_TEMPLATE, None),
    "qwen": (QWEN_MARKS, QWEN_TEMPLATE, None),
    "gemma": (GEMMA_MARKS, GEMMA_TEMPLATE, None),
    "gemma4": (gemma4.MARKS, gemma4.TEMPLATE, "<|audio|>"),
}
CLIP = AudioClip(np.zeros(SAMPLE_RATE_HZ, np.float32))
SYSTEM, HELLO = Message("system", ("Be a fox.",)), Message("assistant", ("jumps over.",))


def user(*parts: str | AudioClip) -> Message:
    return Message("user", parts)


@pytest.fixture(params=TEMPLATES)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    marks, template, audio_token = TEMPLATES[request.param]
    tokenizer = byte_tokenizer(marks, bos_token=marks[0], eos_token=marks[-1])
    tokenizer.chat_template, tokenizer.audio_token = template, audio_token
    return tokenizer


def write(tokenizer: Any, messages: Sequence[Message]) -> list[int | str]:
    """The prompt's tokens, and "clip" where a clip is."""
    writer = PromptWriter(tokenizer)
    template = ChatTemplate(tokenizer, tokenizer.audio_token)
    template.write(writer, messages, lambda clip: writer.add_audio(AudioSpan(clip.id, 1, torch.Tensor)))
    return [item for span in writer.spans() for item in (span.ids if isinstance(span, TokenSpan) else ["clip"])]


def official(tokenizer: Any, messages: Sequence[Message]) -> list[int | str]:
    """What the tokenizer itself makes of the conversation."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        if tokenizer.audio_token and message.clips:
            turns.append(gemma4.as_chat(message))
        else:
            texts = ("<|audio|>" if part is CLIP else str(part) for part in message.parts)
            turns.append({"role": message.role, "content": "\n".join(texts)})
    text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True, enable_thinking=False)
    items: list[int | str] = []
    for index, ids in enumerate(tokenizer(text.split("<|audio|>"), add_special_tokens=False).input_ids):
        items += (["clip"] if index else []) + ids
    return items


CONVERSATIONS = {
    "text": [user("what does the fox do?")],
    "space around": [user("  what?\n"), Message("assistant", (" it jumps \n",)), user(" and? ")],
    "system, audio and text": [SYSTEM, user(CLIP, "why?")],
    "turns": [SYSTEM, user("look:", CLIP), HELLO, user(CLIP), HELLO, user(CLIP, CLIP)],
}


@pytest.mark.parametrize("kind", CONVERSATIONS)
def test_conversations_are_written_as_the_template_writes_them(tokenizer: Any, kind: str) -> None:
    assert write(tokenizer, CONVERSATIONS[kind]) == official(tokenizer, CONVERSATIONS[kind])


def test_what_people_type_never_becomes_a_mark(tokenizer: Any) -> None:
    marks = tokenizer.all_special_ids
    typed = "".join(tokenizer.all_special_tokens) + "\ufdd0\ufdd1\ufdd2"
    plain, marked = (write(tokenizer, [SYSTEM, user(text, CLIP)]) for text in ("x", typed))
    assert [item for item in marked if item in marks] == [item for item in plain if item in marks]
    assert marked.count("clip") == 1
    text = tokenizer.decode([item for item in marked if isinstance(item, int)])
    assert "".join(tokenizer.all_special_tokens) in text


def test_a_longer_conversation_begins_with_the_shorter_one(tokenizer: Any) -> None:
    turns = [SYSTEM, user("why?", CLIP), HELLO, user("why?", CLIP), HELLO, user("so?")]
    for n in (2, 4):
        asked, followed = write(tokenizer, turns[:n]), write(tokenizer, turns[: n + 2])
        up_to_answer = asked[: len(asked) - asked[::-1].index("clip")]  # an answer may open otherwise once it is past
        assert followed[: len(up_to_answer)] == up_to_answer


def test_an_interrupted_answer_is_left_open(tokenizer: Any) -> None:
    said = Message("assistant", ("jumps over ",), interrupted=True)
    asked, resumed = write(tokenizer, [user(CLIP)]), write(tokenizer, [user(CLIP), said])
    assert resumed[: len(asked)] == asked
    assert tokenizer.decode(resumed[len(asked) :]) == "jumps over "
    assert write(tokenizer, [user(CLIP), Message("assistant", ("",))]) == asked  # nothing was said yet


def test_neighbours_of_one_role_are_one_turn(tokenizer: Any) -> None:
    apart, together = [user(CLIP), user("why?")], [user(CLIP, "why?")]
    assert write(tokenizer, apart) == write(tokenizer, together)


def test_what_a_template_cannot_write_is_refused() -> None:
    tokenizer = byte_tokenizer(GEMMA_MARKS, bos_token="<bos>", eos_token="<end_of_turn>")
    tokenizer.audio_token = None
    with pytest.raises(ModelUnavailable, match="no chat template"):
        ChatTemplate(tokenizer)
    tokenizer.chat_template = GEMMA_TEMPLATE
    with pytest.raises(InvalidPrompt, match="roles must alternate"):
        write(tokenizer, [HELLO, user("why?")])
    with pytest.raises(InvalidPrompt, match="empty"):
        write(tokenizer, [user("")])
    tokenizer.chat_template = "{{ messages[-1].content }}"
    with pytest.raises(InvalidPrompt, match="1 of 2 clips"):
        write(tokenizer, [user(CLIP), HELLO, user(CLIP)])
