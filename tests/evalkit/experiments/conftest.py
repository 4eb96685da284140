"""What several experiments begin with, made once: language models that have hardly learnt."""

import shutil
from pathlib import Path

import pytest

from evalkit.quickstart.config import Quickstart
from evalkit.quickstart.steps import base_step


@pytest.fixture(scope="session")
def language_models(tmp_path_factory):
    """Put the models of seed 1 after two updates into a folder of work, where their steps are then done."""
    made = tmp_path_factory.mktemp("language-models")
    config = Quickstart(out=str(made), seed=1, updates=2)

    def put(work: Path, *names: str) -> str:
        for name in names:
            if not (made / name).exists():
                base_step(config, name, {"policy": "L", "base-middle": "M"}[name], "").make()
            shutil.copytree(made / name, work / "seed-1" / name)
        return str(work)

    return put
