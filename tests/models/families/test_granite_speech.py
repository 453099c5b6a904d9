"""What only Granite Speech has: prompts in which its template's own words are looked for."""

from pathlib import Path

import pytest

from models.errors import ModelUnavailable
from models.loading import LoadOptions
from models.registry import load_model
from tests.models.tiny.family import TINY
from tests.models.tiny.granite_speech import GRANITE_SPEECH


def options(folder: Path) -> LoadOptions:
    return LoadOptions(cache_dir=folder, ears="none", dtype="float32")


def test_granite_with_another_chat_template_is_refused(tmp_path: Path) -> None:
    GRANITE_SPEECH.save(tmp_path, TINY)
    (tmp_path / "chat_template.jinja").write_text("USER: {{ messages[0].content }}\n ASSISTANT:")
    with pytest.raises(ModelUnavailable, match=r"chat template has no .*user"):
        load_model(str(tmp_path), options(tmp_path))
