"""The catalogue is whole, and what it says can be done."""

from importlib import import_module

import pytest

from models.catalogue import ENTRIES, MODELS, Entry


def test_names_and_model_types_belong_to_one_entry() -> None:
    names = [info.name for entry in ENTRIES for info in entry.models]
    model_types = [model_type for entry in ENTRIES for model_type in entry.model_types]
    assert len(names) == len(set(names)) == len(MODELS)
    assert len(model_types) == len(set(model_types))
    assert next(iter(MODELS)) == "pocket", "the default is listed first"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_has_the_functions_that_it_promises(entry: Entry) -> None:
    module = import_module(f"models.{entry.module}")
    promised = ["load"]
    if not entry.model_types:
        promised += ["find", "fetch"]
    elif entry.takes_text_model:
        promised += ["fetch_bases"]
    assert all(callable(getattr(module, name)) for name in promised)
    assert entry.models
    assert all(info.checkpoints and info.description for info in entry.models)
