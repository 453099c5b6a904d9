"""From a name, a hub id or a folder to a model, and what is said where that leads nowhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from models.errors import ModelUnavailable
from models.loading import LoadOptions
from models.registry import fetch_model, load_model
from tests.models.tiny.family import TINY
from tests.models.tiny.qwen2_audio import QWEN2_AUDIO


def options(folder: Path, text_model: str | None = None) -> LoadOptions:
    return LoadOptions(cache_dir=folder, ears="none", dtype="float32", text_model=text_model)


async def test_a_folder_of_a_known_family_is_loaded_and_described(tmp_path: Path) -> None:
    QWEN2_AUDIO.save(tmp_path, TINY)
    assert fetch_model(str(tmp_path), options(tmp_path)) == tmp_path
    model = load_model(str(tmp_path), options(tmp_path))
    assert model.info.name == tmp_path.name
    assert "family qwen2_audio" in model.info.description
    assert model.info.checkpoints == (str(tmp_path),)
    await model.close()


@pytest.mark.parametrize("act", [load_model, fetch_model])
def test_what_is_no_model_is_refused(act: object, tmp_path: Path) -> None:
    assert callable(act)
    with pytest.raises(ModelUnavailable, match=r"unknown model 'gpt-9'; choose pocket, .*, cascade"):
        act("gpt-9", options(tmp_path))
    with pytest.raises(ModelUnavailable, match=r"holds no config\.json"):
        act(str(tmp_path), options(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelUnavailable, match="model_type 'bert'; known are: qwen2_audio"):
        act(str(tmp_path), options(tmp_path))


def test_a_model_with_a_language_model_of_its_own_takes_no_other(tmp_path: Path) -> None:
    QWEN2_AUDIO.save(tmp_path, TINY)
    with pytest.raises(ModelUnavailable, match="leave out --text-model"):
        load_model(str(tmp_path), options(tmp_path, text_model=str(tmp_path)))


def test_nothing_heavy_is_imported_before_a_model_is_loaded() -> None:
    code = "import models.registry, sys; assert not {'torch', 'transformers', 'ctranslate2'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
