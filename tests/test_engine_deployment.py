"""What `deploy/` starts beside an engine: files that are read as they are meant, and options that exist."""

import re
from typing import Any

import pytest
import yaml

from commands.engine import engine_settings
from commands.parser import build_parser
from tests.test_lock import ROOT


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / "deploy" / name).read_text("utf-8"))


def test_compose_gives_earpiece_options_that_it_knows() -> None:
    services = read("compose.yml")["services"]
    given = {
        name: value.replace("${ENGINE_KEY:?a secret of your choice}", "a-secret")
        for name, value in services["earpiece"]["environment"].items()
    }
    options = build_parser(given).parse_args([])
    settings = engine_settings(options)
    assert settings is not None
    assert settings.urls == ("http://vllm:8000/v1",)
    assert f"--served-model-name={settings.model}" in services["vllm"]["command"]
    assert settings.key == "a-secret"
    assert (options.host, options.max_sessions) == ("0.0.0.0", 40)
    assert f"{options.port}:{options.port}" in services["earpiece"]["ports"][0]
    assert str(options.cache_dir) in services["earpiece"]["volumes"][0]


def test_prometheus_asks_the_services_of_compose() -> None:
    services = read("compose.yml")["services"]
    targets = [
        target for job in read("prometheus.yml")["scrape_configs"] for target in job["static_configs"][0]["targets"]
    ]
    assert {target.partition(":")[0] for target in targets} == {"earpiece", "vllm"} <= services.keys()
    assert (ROOT / "deploy" / "prometheus.yml").name in services["prometheus"]["volumes"][0]


def test_the_image_is_built_of_files_that_are_there() -> None:
    build = read("compose.yml")["services"]["earpiece"]["build"]
    dockerfile = (ROOT / build["dockerfile"]).read_text("utf-8")
    copied = [source for line in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE) for source in line.split()]
    assert copied
    assert [source for source in copied if not (ROOT / source).exists()] == []


@pytest.mark.parametrize("document", ["README.md", "deploy/engines.md"])
def test_commands_in_the_documents_are_taken(document: str) -> None:
    commands = re.findall(r"^python app\.py (.*--engine [^#\n]*)", (ROOT / document).read_text("utf-8"), re.MULTILINE)
    assert commands
    for command in commands:
        assert engine_settings(build_parser({}).parse_args(command.split())) is not None
