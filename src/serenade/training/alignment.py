"""Every corpus normalised by its own statistics: ``normaliser.kind = per_corpus`` (spec of MTL-AUG, section 2).

A normaliser has one mean and one deviation per bin. Here those are of all training corpora together, and the features
of each corpus are moved and stretched beforehand to have them: ``(x - mean_c) / std_c * std + mean``. What is tested,
if it is of a corpus that is not trained on, is met by its recordings alone, without their labels. After training the
normaliser takes the statistics of the tested corpus, so that the stored model normalises its recordings as in the test.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from serenade.core.errors import SplitError
from serenade.signal.normaliser import Normaliser
from serenade.training.system import Example

__all__ = ["AligningSystem", "Alignment"]

_FEATURES = ("audio", "clean")


@runtime_checkable
class AligningSystem(Protocol):
    """A system that can normalise every corpus by its own statistics."""

    @property
    def alignment(self) -> "Alignment":
        """How, if its settings ask for it."""
        ...

    @property
    def network(self) -> nn.Module:
        """What holds the normaliser."""
        ...


class Alignment:
    """The statistics of corpora, and the features of each brought to those of all training corpora.

    Does nothing but fit the normaliser where that is of another kind than "per_corpus".

    Args:
        normaliser: of the network.
    """

    def __init__(self, normaliser: Normaliser) -> None:
        self._normaliser = normaliser
        self._own: dict[str, Normaliser] = {}
        self._tested: str | None = None

    @property
    def wanted(self) -> bool:
        """Whether the settings ask for it."""
        return self._normaliser.settings.kind == "per_corpus"

    @property
    def protocol(self) -> str | None:
        """What is seen besides the training part; None where nothing is."""
        return None if self._tested is None else "normalised by the statistics of the tested corpus, labels unseen"

    def meet(self, tested: Sequence[Example]) -> None:
        """Take the statistics of a corpus that is tested, from its recordings alone; before `fit`.

        Raises:
            SplitError: the test part is of several corpora.
        """
        if not self.wanted:
            return
        corpora = sorted({example.utterance.corpus for example in tested})
        if len(corpora) > 1:
            raise SplitError(
                "normaliser.kind=per_corpus needs a test part of one corpus",
                found=", ".join(corpora),
                hint="Use --split corpus, or normaliser.kind=per_bin",
            )
        self._tested = corpora[0]
        self._own = {self._tested: self._fitted(tested)}

    def fit(self, train: Sequence[Example]) -> None:
        """Fit the normaliser to the training part, and the statistics of every corpus in it."""
        self._normaliser.fit(example.inputs["audio"] for example in train)
        if self.wanted:
            by_corpus: dict[str, list[Example]] = {}
            for example in train:
                by_corpus.setdefault(example.utterance.corpus, []).append(example)
            self._own |= {corpus: self._fitted(members) for corpus, members in by_corpus.items()}

    def _fitted(self, examples: Iterable[Example]) -> Normaliser:
        own = Normaliser(self._normaliser.settings, self._normaliser.num_bins)
        own.fit(example.inputs["audio"] for example in examples)
        return own

    def align(self, items: Sequence[Example]) -> Sequence[Example]:
        """Examples with the statistics of all training corpora together; those of unknown corpora as they are."""
        if not self._own:
            return items
        return [self._aligned(item) for item in items]

    def _aligned(self, item: Example) -> Example:
        own = self._own.get(item.utterance.corpus)
        if own is None:
            return item
        inputs: Mapping[str, Tensor] = {
            name: self._mapped(tensor, own) if name in _FEATURES else tensor for name, tensor in item.inputs.items()
        }
        return Example(item.utterance, inputs, item.target)

    def _mapped(self, features: Tensor, own: Normaliser) -> Tensor:
        mean, std = self._normaliser.mean.cpu(), self._normaliser.std.cpu()
        normalised: Tensor = own(features.float())
        return (normalised * std + mean).to(features.dtype)

    def settle(self) -> None:
        """After training: the network's normaliser is that of the tested corpus from now on."""
        if self._tested is not None:
            own = self._own[self._tested]
            self._normaliser.mean.copy_(own.mean)
            self._normaliser.std.copy_(own.std)
        self._own = {}
