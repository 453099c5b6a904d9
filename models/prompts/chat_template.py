"""A conversation written down by a language model's own chat template, in which nothing a person types becomes a mark.

Templates are programs: they trim texts, fold the system prompt into the first turn, leave out thinking. So they are
given the real texts, made harmless. Three code points that Unicode reserves for internal use (U+FDD0 and on,
"noncharacters") travel through them: one stands for a clip, one breaks up what only looks like a special token, one
ends an answer that is to be continued. What comes out is cut at the special tokens, which all are the template's own.

A longer conversation begins with the tokens of the shorter one, as far as its template does: Llama 3.2's writes the
date and so begins anew once a day; Qwen3's leaves the empty thinking of past answers out, so that the last answer
(never its question) is read again. Read `families/ultravox.py` and `cascade/text_model.py` for its use.
"""

import re
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from jinja2 import TemplateError

from models.errors import InvalidPrompt, ModelUnavailable
from models.prompts.writer import PromptWriter
from models.types import AudioClip, Message, Part

CLIP, GUARD, END = "\ufdd0", "\ufdd1", "\ufdd2"
RESERVED = dict.fromkeys(map(ord, (CLIP, GUARD, END)))  # for str.translate: not part of any text


class ChatTemplate:
    """The chat template of a tokenizer.

    Args:
        tokenizer: a transformers tokenizer.
        audio_token: what the template writes for a clip, where it knows clips; it is then given a turn's parts. None
            where it knows only text; parts are then joined by newlines.

    Raises:
        ModelUnavailable: it has none.
    """

    def __init__(self, tokenizer: Any, audio_token: str | None = None) -> None:
        if not tokenizer.chat_template:
            raise ModelUnavailable("the language model has no chat template; use one that was trained to chat")
        special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        self._mark = re.compile("|".join(re.escape(token) for token in sorted(special, key=len, reverse=True)) or "$^")
        self._tokenizer = tokenizer
        self._audio_token = audio_token

    def write(self, writer: PromptWriter, messages: Sequence[Message], write_clip: Callable[[AudioClip], None]) -> None:
        """Writes a conversation, ready for the answer, or for its continuation if the assistant's is the last.

        Neighbours of one role become one turn, since many templates refuse them.

        Args:
            writer: takes texts and special tokens.
            messages: at least one of them has parts.
            write_clip: is called for each clip in its place.

        Raises:
            InvalidPrompt: the template refuses the conversation, or does not write all of it.
        """
        rendered, mark = self._render(messages), self._audio_token or CLIP
        clips = [clip for message in messages for clip in message.clips]
        if rendered.count(mark) != len(clips):
            raise InvalidPrompt(
                f"the model's chat template left out audio: {rendered.count(mark)} of {len(clips)} clips are in its "
                "prompt; put them into a user's message"
            )
        remaining = iter(clips)
        for piece in re.split(f"({self._mark.pattern}|{CLIP})", rendered):
            if piece == mark:
                write_clip(next(remaining))
            elif self._mark.fullmatch(piece):
                writer.add_mark(piece)
            else:
                writer.add_text(piece.replace(GUARD, ""))

    def _render(self, messages: Sequence[Message]) -> str:
        spoken = [message for message in messages if message.parts and (message.clips or message.text)]
        turns = [
            {"role": role, "content": self._content([part for message in group for part in message.named_parts])}
            for role, group in groupby(spoken, key=lambda message: message.role)
        ]
        if not turns:
            raise InvalidPrompt("all messages are empty; say or write something first")
        is_open = turns[-1]["role"] == "assistant"
        if is_open:
            turns[-1]["content"] += END
        try:
            # Thinking aloud would keep a listener waiting; templates that know no `enable_thinking` ignore it.
            rendered: str = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=not is_open, enable_thinking=False
            )
        except TemplateError as error:
            raise InvalidPrompt(f"the model's chat template refuses this conversation: {error}") from error
        return rendered.partition(END)[0]

    def _content(self, parts: Sequence[Part]) -> Any:
        """What the template is given of a turn: a string, or typed parts if it knows clips and there are some."""
        texts = [CLIP if isinstance(part, AudioClip) else self._harmless(part) for part in parts]
        if self._audio_token is None or CLIP not in texts:
            return "\n".join(texts)
        return [{"type": "audio"} if text == CLIP else {"type": "text", "text": text} for text in texts]

    def _harmless(self, text: str) -> str:
        return self._mark.sub(lambda found: f"{found[0][0]}{GUARD}{found[0][1:]}", text.translate(RESERVED))
