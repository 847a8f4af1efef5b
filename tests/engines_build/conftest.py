"""A hub on loopback with a tiny model, as a folder and as a GGUF file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_server import Hub, Repo, serving
from pulling import EXTRA, without_calibration
from tiny_checkpoints import gentle, save_folder, save_gguf, tiny_model

from engines import hub as hub_module
from engines import recipe


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """Files of a folder and of a GGUF repository."""
    model = gentle(tiny_model("qwen2", hidden_size=128, num_attention_heads=8, num_key_value_heads=4))
    folder = save_folder(model, tmp_path_factory.mktemp("hub") / "model")
    gguf = save_gguf(model, folder.parent / "tiny.gguf", "Q8_0").read_bytes()
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    files.pop("chat_template.jinja", None)
    card = {"README.md": EXTRA["README.md"]}
    return {"folder": files | EXTRA, "gguf": {"q8/tiny-q8_0.gguf": gguf, "tiny-00001-of-00002.gguf": b"half"} | card}


@pytest.fixture
def hub(
    published: dict[str, dict[str, bytes]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hub]:
    """A hub that this process, and those it starts, ask; nobody waits before trying again."""
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    recipes = without_calibration(recipe.FOLDER, tmp_path_factory.mktemp("recipes"))
    monkeypatch.setattr(recipe, "FOLDER", recipes)
    with serving(tiny__folder=Repo(dict(published["folder"])), tiny__gguf=Repo(dict(published["gguf"]))) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "nowhere"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "nowhere" / "token"))
        monkeypatch.setattr(hub_module, "ENDPOINT", server.address)
        monkeypatch.setattr(hub_module, "WAITS_SECONDS", (0.0, 0.0))
        yield server
