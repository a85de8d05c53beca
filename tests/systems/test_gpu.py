"""Systems on a GPU: the same scores as on the CPU within a stated tolerance."""

import pytest
import torch
from tests.systems.test_baseline import examples

from serenade.core.labels import LabelSet
from serenade.systems import SYSTEMS
from serenade.training.loop import score, train
from serenade.training.settings import TrainingSettings

pytestmark = pytest.mark.gpu
LABELS = LabelSet(("angry", "happy", "sad"))


@pytest.mark.parametrize("name", list(SYSTEMS))
def test_trains_on_the_gpu_and_scores_like_the_cpu(name: str) -> None:
    cls = SYSTEMS.resolve(name)
    system = cls(cls.settings_class(), LABELS).to(torch.device("cuda"))  # type: ignore[call-arg] # protocol
    items = examples(12)
    if name != "baseline":
        generator = torch.Generator().manual_seed(0)
        items = [
            type(item)(item.utterance, {"audio": torch.randn(2, 26, 57, generator=generator)}, item.target)
            for item in items
        ]
    train(system, items, items, TrainingSettings(epochs=1), seed=0, device=torch.device("cuda"))
    on_gpu = score(system, items, torch.device("cuda")).probabilities
    on_cpu = score(system.to(torch.device("cpu")), items, torch.device("cpu")).probabilities
    torch.testing.assert_close(torch.tensor(on_gpu), torch.tensor(on_cpu), rtol=0, atol=5e-3)  # TF32 in cuDNN
