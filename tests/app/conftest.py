"""A model folder for commands that predict."""

from pathlib import Path

import pytest
import torch

from serenade.core.labels import LabelSet
from serenade.systems import make_system, save_checkpoint


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GLAM with drawn weights: it scores, though not well."""
    folder = tmp_path_factory.mktemp("model") / "glam"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        system = make_system("glam", {"evaluation_overlap_s": 0.9}, LabelSet(("angry", "happy", "neutral", "sad")))
    save_checkpoint(system, "glam", folder)
    (folder / "card.md").write_text("# GLAM, untrained\n\nDrawn weights,\nfor tests only.\n\nMore.\n")
    return folder
