"""Classifiers as tensors, against scikit-learn's own."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import recall_score
from sklearn.svm import SVC, LinearSVC

from serenade.core.errors import TrainingError
from serenade.nn.classifiers import SupportVectorMachine, pairs_of, vote
from serenade.training import classifiers as fitting
from serenade.training.classifiers import (
    ClassifierSettings,
    Material,
    fit_classifier,
    fit_steepness,
    held_out_parts,
    make_classifier,
)

WIDTH = 12


def material(count: int, classes: int = 4, seed: int = 0, speakers: int = 6) -> Material:
    """Classes that overlap and are not equally frequent."""
    generator = np.random.default_rng(seed)
    targets = generator.choice(classes, count, p=np.arange(1, classes + 1) / np.arange(1, classes + 1).sum())
    centres = np.random.default_rng(99).normal(size=(classes, WIDTH))
    inputs = centres[targets] + 1.5 * generator.normal(size=(count, WIDTH))
    return Material(inputs, targets, [f"s{number % speakers}" for number in range(count)])


def fitted(settings: ClassifierSettings, learnt: Material, classes: int = 4, num_selection: int = 0) -> torch.nn.Module:
    classifier = make_classifier(settings, WIDTH, classes)
    fit_classifier(classifier, settings, learnt, num_selection, classes)
    return classifier


def machine(kind: str, **values: object) -> ClassifierSettings:
    return ClassifierSettings.model_validate({"classifier": kind, "inverse_regularisation": (0.5,), **values})


def peer(kind: str, learnt: Material, balanced: bool = True) -> SVC:
    weight = "balanced" if balanced else None
    kernel = kind.removesuffix("_svm")
    model = SVC(kernel=kernel, C=0.5, gamma=1 / WIDTH, class_weight=weight, break_ties=True)
    return model.fit(learnt.inputs, learnt.targets)


@pytest.mark.parametrize("kind", ["linear_svm", "rbf_svm"])
@pytest.mark.parametrize("balanced", [True, False])
def test_machine_decides_as_scikit_learn_does(kind: str, balanced: bool) -> None:
    learnt, test = material(150), material(400, seed=1)
    ours = fitted(machine(kind, class_weight=balanced), learnt)
    theirs = peer(kind, learnt, balanced)
    logits = ours(torch.tensor(test.inputs, dtype=torch.float32))
    np.testing.assert_array_equal(logits.argmax(dim=1).numpy(), theirs.predict(test.inputs))
    theirs.set_params(decision_function_shape="ovo")
    decisions = ours.decisions(torch.tensor(test.inputs, dtype=torch.float32))
    # Both stop the optimiser early, at 1e-3 of its gradient, and from different sums of the kernel.
    np.testing.assert_allclose(decisions.numpy(), theirs.decision_function(test.inputs), atol=3e-2)


def test_two_classes_have_one_machine() -> None:
    learnt = material(60, classes=2)
    ours = fitted(machine("rbf_svm"), learnt, classes=2)
    logits = ours(torch.tensor(learnt.inputs, dtype=torch.float32))
    np.testing.assert_array_equal(logits.argmax(dim=1).numpy(), peer("rbf_svm", learnt).predict(learnt.inputs))


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("count", [150, 10])  # more and fewer rows than features
def test_machines_against_the_rest_decide_as_scikit_learn_does(classes: int, balanced: bool, count: int) -> None:
    learnt, test = material(count, classes, seed=2), material(400, classes, seed=1)
    settings = machine("linear_svm", multiclass=("one_against_rest",), class_weight=balanced)
    theirs = LinearSVC(C=0.5, dual=False, tol=1e-8, class_weight="balanced" if balanced else None)
    theirs.fit(learnt.inputs, learnt.targets)
    inputs = torch.tensor(test.inputs, dtype=torch.float32)
    ours = fitted(settings, learnt, classes)
    assert (ours(inputs).argmax(dim=1).numpy() == theirs.predict(test.inputs)).mean() > 0.99
    values = theirs.decision_function(test.inputs)
    if classes > 2 and len(theirs.classes_) == classes:
        expected = np.stack([values[:, first] - values[:, second] for first, second in pairs_of(classes)], axis=1)
    elif classes == 2:
        expected = -values[:, None]
    else:
        return
    np.testing.assert_allclose(ours.decisions(inputs).numpy(), expected, atol=5e-3)


def test_how_classes_are_told_apart_is_chosen_on_what_is_held_out() -> None:
    learnt = material(150, seed=4)
    one = fitted(machine("linear_svm"), learnt)
    rest = fitted(machine("linear_svm", multiclass=("one_against_rest",)), learnt)
    both = fitted(machine("linear_svm", multiclass=("one_against_one", "one_against_rest")), learnt)
    right = []
    for scheme in ("one_against_one", "one_against_rest"):
        scores, truth = [], []
        for fit, held in held_out_parts(learnt, 0):
            part = Material(learnt.inputs[fit], learnt.targets[fit], [learnt.speakers[row] for row in fit])
            alone = fitted(machine("linear_svm", multiclass=(scheme,)), part)
            scores.append(alone(torch.tensor(learnt.inputs[held], dtype=torch.float32)).argmax(dim=1).numpy())
            truth.append(learnt.targets[held])
        right.append(recall_score(np.concatenate(truth), np.concatenate(scores), average="macro"))
    assert right[0] != right[1]
    expected = one if right[0] > right[1] else rest
    torch.testing.assert_close(both.normals, expected.normals)


def test_class_that_nobody_taught_never_wins() -> None:
    learnt = material(80, classes=3)
    shifted = Material(learnt.inputs, learnt.targets * 2, learnt.speakers)  # classes 0, 2, 4 of five
    for kind in ("linear_svm", "rbf_svm", "logistic_regression"):
        logits = fitted(machine(kind), shifted, classes=5)(torch.tensor(learnt.inputs, dtype=torch.float32))
        probabilities = logits.softmax(dim=1)
        assert set(probabilities.argmax(dim=1).tolist()) <= {0, 2, 4}
        assert float(probabilities[:, [1, 3]].detach().max()) == 0


@pytest.mark.parametrize("kind", ["linear_svm", "rbf_svm"])
def test_stored_machine_says_the_same(kind: str) -> None:
    learnt = material(80, classes=3)
    ours = fitted(machine(kind), learnt, classes=4)
    loaded = SupportVectorMachine(WIDTH, 4, kind.removesuffix("_svm"))
    loaded.load_state_dict(ours.state_dict())
    inputs = torch.tensor(learnt.inputs, dtype=torch.float32)
    torch.testing.assert_close(loaded(inputs), ours(inputs), rtol=0, atol=0)


def test_machine_of_another_width_is_refused() -> None:
    stored = fitted(machine("rbf_svm"), material(60)).state_dict()
    with pytest.raises(RuntimeError, match="support_vectors"):
        SupportVectorMachine(WIDTH + 1, 4, "rbf").load_state_dict(stored)


def plain_election(decisions: np.ndarray, classes: int) -> int:
    votes, sums = [0] * classes, [0.0] * classes
    for value, (first, second) in zip(decisions, pairs_of(classes), strict=True):
        votes[first if value >= 0 else second] += 1
        sums[first] += value
        sums[second] -= value
    return max(range(classes), key=lambda place: (votes[place], sums[place]))


def test_vote_elects_by_votes_and_then_by_sums() -> None:
    decisions = torch.tensor(np.random.default_rng(3).normal(scale=4, size=(500, 10)))
    elected = vote(decisions, 5).argmax(dim=1).tolist()
    assert elected == [plain_election(row, 5) for row in decisions.numpy()]


def test_steepness_is_that_of_the_scores_made_with_it() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(20_000, 3))
    odds = np.exp(2.5 * scores)
    truth = np.array([generator.choice(3, p=row / row.sum()) for row in odds])
    assert fit_steepness(scores, truth) == pytest.approx(2.5, rel=0.05)
    assert fit_steepness(None, None) == 1


def test_probabilities_of_a_machine_are_as_sure_as_it_is_right() -> None:
    test = material(3000, seed=1)
    logits = fitted(machine("linear_svm"), material(300))(torch.tensor(test.inputs, dtype=torch.float32))
    sure, said = logits.softmax(dim=1).max(dim=1)
    right = (said.numpy() == test.targets).mean()
    assert float(sure.mean()) == pytest.approx(right, abs=0.06)


def test_held_out_are_whole_speakers_or_the_validation_part() -> None:
    learnt = material(40, speakers=7)
    parts = held_out_parts(learnt, 0)
    assert len(parts) == 5
    assert sorted(np.concatenate([held for _, held in parts]).tolist()) == list(range(40))
    for fit, held in parts:
        assert not {learnt.speakers[row] for row in fit} & {learnt.speakers[row] for row in held}
    ((fit, held),) = held_out_parts(learnt, 10)
    assert (fit.tolist(), held.tolist()) == (list(range(30)), list(range(30, 40)))


@pytest.mark.parametrize("kind", ["linear_svm", "rbf_svm", "logistic_regression"])
def test_penalty_is_the_one_that_is_best_on_what_is_held_out(kind: str) -> None:
    tried = machine(kind, inverse_regularisation=(1e-7, 0.5), class_weight=False)
    learnt = material(120)
    chosen, alone = fitted(tried, learnt), fitted(machine(kind, class_weight=False), learnt)
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(chosen.state_dict()[name], tensor)


def test_one_class_is_nothing_to_tell_apart() -> None:
    learnt = material(20)
    with pytest.raises(TrainingError, match="two classes"):
        fitted(machine("linear_svm"), Material(learnt.inputs, np.zeros(20, dtype=np.int64), learnt.speakers))


def test_fit_ends_where_features_were_never_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "_MAX_STEPS", 1000)
    learnt = material(60)
    wild = Material(learnt.inputs * 10.0 ** np.arange(WIDTH), learnt.targets, learnt.speakers)
    with pytest.warns(ConvergenceWarning):
        fitted(machine("linear_svm"), wild)
