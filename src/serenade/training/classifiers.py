"""Fitting classifiers of one vector per utterance with scikit-learn, and choosing what is not fitted.

The strength of the penalty (C, the width of an RBF kernel, how a linear machine tells many classes apart) is the one
with the best UA on utterances held out from the fit: those of the validation part where there is one, else each of up
to five groups of speakers of the training part in turn. Then everything is fitted together. The held-out decision
values of a support vector machine also say how steep its probabilities are (`nn.classifiers.SupportVectorMachine`). The
test part is not looked at.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from serenade.core.errors import MissingExtraError, TrainingError
from serenade.core.settings import Settings
from serenade.core.wording import counted
from serenade.evaluation.metrics import confusion, ua
from serenade.nn.classifiers import ABSENT, SupportVectorMachine, pairs_of, vote

__all__ = ["ClassifierSettings", "Material", "fit_classifier", "fit_steepness", "held_out_parts", "make_classifier"]

_MAX_ITERATIONS = 3000
_MAX_STEPS = 1_000_000  # of LIBSVM, which else never ends on features of very different scales; 10,000 are many
_INNER_FOLDS = 5
_STEEPEST = 50.0  # bounds of the search: held-out scores that are all right would ask for infinity
_Array = NDArray[np.float64]
_Rows = NDArray[np.int64]
_Scheme = Literal["one_against_one", "one_against_rest"]


class ClassifierSettings(Settings):
    """Which classifier is fitted to one vector per utterance, and how."""

    classifier: Literal["logistic_regression", "linear_svm", "rbf_svm"] = Field(
        "logistic_regression", description="support vector machines are one against one, as LIBSVM's, unless said"
    )
    inverse_regularisation: tuple[float, ...] = Field(
        (0.001, 0.01, 0.1, 1.0),
        min_length=1,
        description="values of scikit-learn's C tried on the validation part, or without one on groups of speakers "
        "held out from the training part",
    )
    gamma: tuple[float, ...] = Field(
        (1.0,), min_length=1, description="rbf_svm: gammas tried likewise, in units of 1 / number of features"
    )
    multiclass: tuple[_Scheme, ...] = Field(
        ("one_against_one",),
        min_length=1,
        description="linear_svm: tried likewise; one_against_one: a machine for each pair of classes, as LIBSVM's; "
        "one_against_rest: one for each class, as LIBLINEAR's (squared hinge loss)",
    )
    class_weight: bool = Field(True, description="weigh classes by the inverse of their frequency")


@dataclass(frozen=True, slots=True)
class Material:
    """What a classifier is fitted to.

    Args:
        inputs: (N, D) standardised features.
        targets: (N,) class indices.
        speakers: (N,) names.
    """

    inputs: _Array
    targets: NDArray[np.int64]
    speakers: Sequence[str]


def make_classifier(settings: ClassifierSettings, width: int, num_classes: int) -> nn.Module:
    """An unfitted classifier from (N, D) to (N, K) logits."""
    if settings.classifier == "logistic_regression":
        return nn.Linear(width, num_classes)
    return SupportVectorMachine(width, num_classes, settings.classifier.removesuffix("_svm"))


def fit_classifier(
    classifier: nn.Module, settings: ClassifierSettings, material: Material, num_selection: int, num_classes: int
) -> None:
    """Fit a classifier of `make_classifier` in place; every step is deterministic.

    Args:
        classifier: takes the result over.
        settings: with the values to try.
        material: training part and, behind it, the validation part.
        num_selection: size of the validation part, may be 0.
        num_classes: K.

    Raises:
        TrainingError: the utterances are all of one class.
        MissingExtraError: scikit-learn is not installed.
    """
    if len(np.unique(material.targets)) < 2:
        raise TrainingError(
            "there are not two classes to tell apart", found=counted(len(material.targets), "utterance")
        )
    logistic = isinstance(classifier, nn.Linear)
    solver: _Solver = _Logistic(settings, material) if logistic else _Machines(settings, material)
    candidates = [
        _Candidate(c, gamma, scheme)
        for scheme in solver.schemes
        for gamma in solver.gammas
        for c in sorted(settings.inverse_regularisation)
    ]
    best, scores, truth = candidates[len(candidates) // 2], None, None
    if len(candidates) > 1 or not logistic:
        parts = held_out_parts(material, num_selection)
        best, scores, truth = _choose(solver, candidates, parts, material, num_classes)
    rows = np.arange(len(material.targets))
    solver.take_over(classifier, solver.fit(rows, best), fit_steepness(scores, truth))


def held_out_parts(material: Material, num_selection: int) -> list[tuple[_Rows, _Rows]]:
    """Rows to fit on and rows to judge on: one pair with a validation part, else up to five by speakers.

    With a single speaker it is single utterances that are held out.
    """
    count = len(material.targets)
    everything = np.arange(count)
    if num_selection:
        return [(everything[: count - num_selection], everything[count - num_selection :])]
    names = sorted(set(material.speakers))
    place = {name: number % _INNER_FOLDS for number, name in enumerate(names)}
    part = np.array([place[name] for name in material.speakers]) if len(names) > 1 else everything % _INNER_FOLDS
    return [(everything[part != number], everything[part == number]) for number in np.unique(part)]


@dataclass(frozen=True, slots=True)
class _Candidate:
    inverse_regularisation: float
    gamma: float
    scheme: _Scheme


class _Solver(Protocol):
    """Fits on some rows of the material and scores others."""

    @property
    def schemes(self) -> Sequence[_Scheme]: ...

    @property
    def gammas(self) -> Sequence[float]: ...

    def fit(self, rows: _Rows, candidate: _Candidate) -> Any: ...

    def scores(self, fitted: Any, rows: _Rows, num_classes: int) -> _Array: ...

    def take_over(self, classifier: nn.Module, fitted: Any, steepness: float) -> None: ...


def _choose(
    solver: _Solver,
    candidates: Sequence[_Candidate],
    parts: Iterable[tuple[_Rows, _Rows]],
    material: Material,
    num_classes: int,
) -> tuple[_Candidate, _Array | None, NDArray[np.int64] | None]:
    """The candidate with the best UA on what is held out (the strongest penalty among equals), its scores, the truth.

    Parts whose rest has a single class are passed over; with none left the middle candidate is taken.
    """
    usable = [(fit, held) for fit, held in parts if len(np.unique(material.targets[fit])) > 1]
    middle = candidates[len(candidates) // 2]
    if not usable:
        return middle, None, None
    truth = np.concatenate([material.targets[held] for _, held in usable])
    best: tuple[float, _Candidate, _Array] | None = None
    for candidate in candidates:
        scores = np.concatenate([solver.scores(solver.fit(fit, candidate), held, num_classes) for fit, held in usable])
        merit = float(ua(confusion(truth, scores.argmax(axis=1), num_classes)))
        if best is None or merit > best[0]:
            best = (merit, candidate, scores)
    assert best is not None
    return best[1], best[2], truth


def fit_steepness(scores: _Array | None, truth: NDArray[np.int64] | None) -> float:
    """The factor of scores (N, K) that gives the classes (N,) the largest likelihood after a softmax; 1 without any.

    One factor for all classes and utterances changes no decision (temperature scaling, Guo et al., ICML 2017).
    """
    if scores is None or truth is None:
        return 1.0
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(exponent: float) -> float:
        return -float(log_softmax(np.exp(exponent) * scores, axis=1)[np.arange(len(truth)), truth].mean())

    bound = np.log(_STEEPEST)
    return float(np.exp(minimize_scalar(loss, bounds=(-bound, bound), method="bounded").x))


@dataclass(frozen=True, slots=True)
class _Hyperplanes:
    """Multinomial logistic regression: one weight vector and bias for each class present."""

    classes: NDArray[np.int64]
    weights: _Array
    biases: _Array


class _Logistic:
    """Logistic regressions on rows of the material."""

    schemes: tuple[_Scheme, ...] = ("one_against_one",)  # softmax: neither
    gammas = (1.0,)

    def __init__(self, settings: ClassifierSettings, material: Material) -> None:
        self.settings, self.material = settings, material

    def fit(self, rows: _Rows, candidate: _Candidate) -> _Hyperplanes:
        """Fit with a penalty."""
        try:
            from sklearn.linear_model import LogisticRegression
        except ImportError as error:
            raise MissingExtraError("sklearn", extra="train", purpose="fitting a logistic regression") from error
        regression = LogisticRegression(
            C=candidate.inverse_regularisation,
            class_weight="balanced" if self.settings.class_weight else None,
            max_iter=_MAX_ITERATIONS,
        )
        regression.fit(self.material.inputs[rows], self.material.targets[rows])
        weights, biases = regression.coef_, regression.intercept_
        if len(regression.classes_) == 2:  # scikit-learn stores two classes as one row
            weights, biases = np.vstack([-weights / 2, weights / 2]), np.concatenate([-biases / 2, biases / 2])
        return _Hyperplanes(regression.classes_, weights, biases)

    def scores(self, fitted: _Hyperplanes, rows: _Rows, num_classes: int) -> _Array:
        """(n, K) logits."""
        scores = np.full((len(rows), num_classes), ABSENT)
        scores[:, fitted.classes] = self.material.inputs[rows] @ fitted.weights.T + fitted.biases
        return scores

    def take_over(self, classifier: nn.Module, fitted: _Hyperplanes, steepness: float) -> None:
        """Copy; its probabilities are those of the regression, without a factor."""
        assert isinstance(classifier, nn.Linear)
        with torch.no_grad():
            classifier.weight.zero_()
            classifier.bias.fill_(ABSENT)
            classifier.weight[fitted.classes] = torch.tensor(fitted.weights, dtype=torch.float32).to(
                classifier.weight.device
            )
            classifier.bias[fitted.classes] = torch.tensor(fitted.biases, dtype=torch.float32).to(
                classifier.bias.device
            )


@dataclass(frozen=True, slots=True)
class _Pairs:
    """A machine for each pair of the classes present: decision values are ``basis[rows] @ weights.T + offsets``."""

    classes: NDArray[np.int64]
    weights: _Array  # (P, M), by columns of the basis
    offsets: _Array
    gamma: float


class _Machines:
    """Support vector machines on rows of the material; the kernel of all rows is computed once.

    Their basis is what decision values are linear in: the kernel of all rows, of which most have the weight 0, or for
    linear machines coordinates in the space that the rows span: at most N, where ComParE has 6,373 features.
    """

    def __init__(self, settings: ClassifierSettings, material: Material) -> None:
        self.settings, self.material = settings, material
        self.products = material.inputs @ material.inputs.T
        self.linear = settings.classifier == "linear_svm"
        self.schemes: tuple[_Scheme, ...] = settings.multiclass if self.linear else ("one_against_one",)
        width = material.inputs.shape[1]
        self.gammas = (1.0,) if self.linear else tuple(gamma / width for gamma in sorted(settings.gamma))
        self._kernels: dict[float, _Array] = {}
        if self.linear:
            self.axes, upper = np.linalg.qr(material.inputs.T)  # (D, M)
            self.coordinates = upper.T  # (N, M)

    def kernel(self, gamma: float) -> _Array:
        """(N, N) kernel of all rows."""
        if self.linear:
            return self.products
        if gamma not in self._kernels:
            squares = np.diag(self.products)
            distances = np.maximum(squares[:, None] + squares - 2 * self.products, 0)
            self._kernels = {gamma: np.exp(-gamma * distances)}
        return self._kernels[gamma]

    def basis(self, gamma: float) -> _Array:
        """(N, M) what decision values are linear in."""
        return self.coordinates if self.linear else self.kernel(gamma)

    def fit(self, rows: _Rows, candidate: _Candidate) -> _Pairs:
        """Fit a machine to each pair of classes, or to each class; class weights are those of all classes."""
        against_rest = candidate.scheme == "one_against_rest"
        return self._fit_against_rest(rows, candidate) if against_rest else self._fit_pairs(rows, candidate)

    def _fit_pairs(self, rows: _Rows, candidate: _Candidate) -> _Pairs:
        """As LIBSVM does inside."""
        try:
            from sklearn.svm import SVC
        except ImportError as error:
            raise MissingExtraError("sklearn", extra="train", purpose="fitting a support vector machine") from error
        targets, kernel = self.material.targets[rows], self.kernel(candidate.gamma)
        classes, counts = np.unique(targets, return_counts=True)
        balance = len(rows) / (len(classes) * counts) if self.settings.class_weight else np.ones(len(classes))
        pairs = pairs_of(len(classes))
        weights, offsets = np.zeros((len(pairs), len(kernel))), np.zeros(len(pairs))
        for number, (first, second) in enumerate(pairs):
            members = rows[(targets == classes[first]) | (targets == classes[second])]
            is_first = self.material.targets[members] == classes[first]
            machine = SVC(
                kernel="precomputed",
                C=candidate.inverse_regularisation,
                max_iter=_MAX_STEPS,
                class_weight={True: balance[first], False: balance[second]},
            )
            machine.fit(kernel[np.ix_(members, members)], is_first)
            weights[number, members[machine.support_]] = machine.dual_coef_[0]
            offsets[number] = machine.intercept_[0]
        weights = weights @ self.coordinates if self.linear else weights
        return _Pairs(classes, weights, offsets, candidate.gamma)

    def _fit_against_rest(self, rows: _Rows, candidate: _Candidate) -> _Pairs:
        """As LIBLINEAR does; stored as pairs, in which the class with the largest decision value wins every vote."""
        try:
            from sklearn.svm import LinearSVC
        except ImportError as error:
            raise MissingExtraError("sklearn", extra="train", purpose="fitting a support vector machine") from error
        machines = LinearSVC(
            C=candidate.inverse_regularisation,
            dual=False,  # nothing is drawn at random, and it ends
            class_weight="balanced" if self.settings.class_weight else None,
            max_iter=_MAX_ITERATIONS,
        ).fit(self.coordinates[rows], self.material.targets[rows])
        weights, offsets = machines.coef_, machines.intercept_
        if len(machines.classes_) == 2:  # one machine, positive for the second class
            return _Pairs(machines.classes_, -weights, -offsets, candidate.gamma)
        firsts, seconds = np.array(pairs_of(len(machines.classes_))).T
        return _Pairs(
            machines.classes_, weights[firsts] - weights[seconds], offsets[firsts] - offsets[seconds], candidate.gamma
        )

    def scores(self, fitted: _Pairs, rows: _Rows, num_classes: int) -> _Array:
        """(n, K) soft votes."""
        decisions = self.basis(fitted.gamma)[rows] @ fitted.weights.T + fitted.offsets
        scores = np.full((len(rows), num_classes), ABSENT)
        scores[:, fitted.classes] = vote(torch.from_numpy(decisions), len(fitted.classes)).numpy()
        return scores

    def take_over(self, classifier: nn.Module, fitted: _Pairs, steepness: float) -> None:
        """Store normals, or the support vectors with their weights."""
        assert isinstance(classifier, SupportVectorMachine)
        tensors: dict[str, Tensor] = {
            "classes": torch.from_numpy(fitted.classes),
            "offsets": torch.from_numpy(fitted.offsets),
            "steepness": torch.tensor(steepness),
        }
        if self.linear:
            tensors["normals"] = torch.from_numpy(fitted.weights @ self.axes.T)
        else:
            support = np.flatnonzero(np.any(fitted.weights, axis=0))
            tensors["support_vectors"] = torch.from_numpy(self.material.inputs[support])
            tensors["weights"] = torch.from_numpy(fitted.weights[:, support])
            tensors["gamma"] = torch.tensor(fitted.gamma)
        classifier.take(**tensors)
