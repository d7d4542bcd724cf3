"""The ordinal model reproduces published fits, recovers planted effects and refuses what has no finite estimate."""

from __future__ import annotations

import numpy as np
import pytest

from imagetranslation.readerstudy.statistics.estimates import Undefined
from imagetranslation.readerstudy.statistics.ordinal import OrdinalFit, _Likelihood, answer_model, fit, wald
from Testing.Core import published_ratings as published

DESIGN = np.stack([published.WINE_WARM, published.WINE_CONTACT], axis=1)
NAMES = ("warm", "contact")


@pytest.fixture(scope="module")
def wine() -> OrdinalFit:
    return fit(published.WINE.ravel(), DESIGN, NAMES, published.WINE_JUDGE, nodes=10)


def test_the_wine_ratings_give_christensens_mixed_model(wine: OrdinalFit) -> None:
    """Christensen, A Tutorial on fitting Cumulative Link Mixed Models with clmm2, 2016: judges random, 10 nodes."""
    warm, contact = wine.coefficients
    assert (round(warm.estimate, 2), round(contact.estimate, 2)) == (3.06, 1.83)
    assert [round(threshold, 2) for threshold in wine.thresholds] == [-1.62, 1.51, 4.23, 6.09]
    assert round(wine.sigma, 2) == 1.13
    assert round(wine.sigma**2, 2) == 1.29
    assert round(wine.log_likelihood, 2) == -81.53


def test_the_wine_ratings_give_christensens_model_without_judges() -> None:
    """Christensen, A Tutorial on fitting Cumulative Link Models, 2016: logLik -86.49, warm 2.503 (0.529)."""
    found = fit(published.WINE.ravel(), DESIGN, NAMES)
    warm, contact = found.coefficients
    assert (warm.estimate, warm.standard_error) == pytest.approx((2.503, 0.529), abs=5e-4)
    assert (contact.estimate, contact.standard_error) == pytest.approx((1.528, 0.477), abs=5e-4)
    assert found.thresholds == pytest.approx((-1.344, 1.251, 3.467, 5.006), abs=5e-4)
    assert found.threshold_errors == pytest.approx((0.517, 0.438, 0.598, 0.731), abs=5e-4)
    assert round(found.log_likelihood, 2) == -86.49


def test_without_groups_it_is_statsmodels_ordered_model() -> None:
    from statsmodels.miscmodels.ordinal_model import OrderedModel

    theirs = OrderedModel(published.WINE.ravel(), DESIGN, distr="logit").fit(method="bfgs", disp=False)
    ours = fit(published.WINE.ravel(), DESIGN, NAMES)
    assert [c.estimate for c in ours.coefficients] == pytest.approx(list(theirs.params[:2]), abs=1e-3)
    assert [c.standard_error for c in ours.coefficients] == pytest.approx(list(theirs.bse[:2]), abs=1e-3)
    assert ours.log_likelihood == pytest.approx(theirs.llf, abs=1e-5)


def test_the_gradient_is_that_of_the_likelihood() -> None:
    groups = published.WINE_JUDGE
    likelihood = _Likelihood(published.WINE.ravel() - 1, DESIGN.astype(float), groups, 20)
    at = np.array([-1.0, 0.8, 1.1, 0.3, 2.0, 1.0, 0.4])
    steps = 1e-5 * np.eye(len(at))
    slopes = [(likelihood.negative(at + step)[0] - likelihood.negative(at - step)[0]) / 2e-5 for step in steps]
    assert likelihood.negative(at)[1] == pytest.approx(np.array(slopes), abs=1e-6)


def test_the_integral_is_that_of_brute_force(wine: OrdinalFit) -> None:
    """Each judge's likelihood on a fine grid of effects instead of by adaptive quadrature."""
    from scipy.special import expit
    from scipy.stats import norm

    effects = np.linspace(-9, 9, 4001)
    edges = np.r_[-np.inf, wine.thresholds, np.inf]
    beta = np.array([c.estimate for c in wine.coefficients])
    total = 0.0
    for judge in range(9):
        rows = judge == published.WINE_JUDGE
        eta = (DESIGN[rows] @ beta)[:, None] + wine.sigma * effects
        codes = published.WINE.ravel()[rows] - 1
        chance = expit(edges[codes + 1][:, None] - eta) - expit(edges[codes][:, None] - eta)
        total += np.log(np.trapezoid(chance.prod(axis=0) * norm.pdf(effects), effects))
    assert wine.log_likelihood == pytest.approx(total, abs=1e-6)


def test_judges_matter_by_the_profile(wine: OrdinalFit) -> None:
    low, high = wine.sigma_interval
    assert 0.4 < low < wine.sigma < high < 2.5
    for end in (low, high):
        assert 2 * (wine.log_likelihood - best_with_sigma(end)) == pytest.approx(3.8415, abs=5e-3)


def best_with_sigma(sigma: float) -> float:
    from scipy.optimize import minimize

    likelihood = _Likelihood(published.WINE.ravel() - 1, DESIGN.astype(float), published.WINE_JUDGE, 15)
    start = np.array([-1.6, 1.1, 1.0, 0.6, 3.0, 1.8])
    found = minimize(lambda at: likelihood.negative(np.append(at, np.log(sigma)))[0], start, method="BFGS")
    return -found.fun


def simulated(seed: int, patients: int = 40, effect: float = 1.0, sigma: float = 1.2):
    """Simulated answers 0..4 of five readers to two arms of each patient; B is higher by `effect`."""
    generator = np.random.default_rng(seed)
    names = [
        (arm, reader, str(patient))
        for patient in range(patients)
        for arm in "AB"
        for reader in ("r1", "r2", "r3", "r4")
    ]
    of_patient = generator.normal(0, sigma, patients)
    of_reader = {"r1": -0.6, "r2": -0.2, "r3": 0.1, "r4": 0.7}
    eta = np.array([effect * (arm == "B") + of_reader[r] + of_patient[int(p)] for arm, r, p in names])
    latent = eta + generator.logistic(size=len(names))
    return (np.digitize(latent, [-2.0, -0.5, 0.8, 2.2]), *zip(*names))


def test_planted_effects_lie_in_their_intervals() -> None:
    found = answer_model(*simulated(1))
    told = {c.name: c for c in found.coefficients}
    truth = {"arm B": 1.0, "reader r1": -0.6, "reader r2": -0.2, "reader r3": 0.1}
    for name, planted in truth.items():
        assert told[name].low < planted < told[name].high
    assert found.sigma_interval[0] < 1.2 < found.sigma_interval[1]
    assert found.n == {"answers": 320, "groups": 40}


def test_a_clusters_score_is_the_gradient_of_its_own_answers() -> None:
    answers, groups = published.WINE.ravel() - 1, published.WINE_JUDGE
    at = np.array([-1.0, 0.8, 1.1, 0.3, 2.0, 1.0, 0.4])
    whole = _Likelihood(answers, DESIGN.astype(float), groups, 15)
    scores = whole.scores(at, groups)
    assert scores.sum(axis=0) == pytest.approx(-whole.negative(at)[1], abs=1e-8)
    for number, judge in enumerate(np.unique(groups)):
        rows = groups == judge
        alone = _Likelihood(answers[rows], DESIGN[rows].astype(float), groups[rows], 15)
        alone.steps = whole.steps
        assert scores[number] == pytest.approx(-alone.negative(at)[1], abs=1e-6)


def tied(seed: int, image_sd: float, patients: int = 16, readers: int = 7):
    """Answers of two arms that do not differ, where all readers like some images less (simulated)."""
    generator = np.random.default_rng(seed)
    of_patient, of_image = generator.normal(0, 1, patients), generator.normal(0, image_sd, (patients, 2))
    of_reader = generator.normal(0, 0.7, readers)
    rows = [(p, arm, r) for p in range(patients) for arm in (0, 1) for r in range(readers)]
    latent = [of_patient[p] + of_image[p, arm] + of_reader[r] + generator.logistic() for p, arm, r in rows]
    names = [("AB"[arm], f"r{r}", f"p{p}") for p, arm, r in rows]
    return (np.digitize(latent, [-2, -0.6, 0.6, 2]), *zip(*names))


def test_readers_who_agree_about_an_image_do_not_make_its_arm_surer() -> None:
    answers, arms, _, patients = tied(3, image_sd=1.5)
    design = np.array([[arm == "B"] for arm in arms], dtype=float)
    plain = fit(answers, design, ["arm B"], np.array(patients), profile=False)
    robust = fit(answers, design, ["arm B"], np.array(patients), profile=False, robust=True)
    assert robust.coefficients[0].estimate == plain.coefficients[0].estimate
    assert robust.coefficients[0].standard_error > 1.3 * plain.coefficients[0].standard_error
    assert robust.coefficients[0].p > plain.coefficients[0].p
    assert "15 degrees of freedom" in robust.method


def test_one_arm_is_tested_alike_alone_and_together_with_all() -> None:
    found = answer_model(*tied(4, image_sd=0.5))
    (arm,) = (c for c in found.coefficients if c.name.startswith("arm "))
    value, degrees, groups, p = wald(found, "arm ")
    assert (value, degrees, groups) == (pytest.approx(arm.z**2), 1, 15)
    assert p == pytest.approx(arm.p)
    with pytest.raises(Undefined, match="cannot be tested together"):
        wald(found, "model ")


@pytest.mark.soak
@pytest.mark.parametrize("image_sd", [0.0, 0.5, 1.0])
def test_arms_that_do_not_differ_are_called_different_in_a_twentieth_of_studies(image_sd: float) -> None:
    called = 0
    for seed in range(200):
        found = answer_model(*tied(1000 + seed, image_sd))
        called += next(c.p for c in found.coefficients if c.name.startswith("arm ")) < 0.05
    assert 0.02 <= called / 200 <= 0.09


def covered(repetitions: int) -> float:
    hits = 0
    for seed in range(repetitions):
        answers, arms, readers, patients = simulated(100 + seed, patients=25)
        arm = next(c for c in answer_model(answers, arms, readers, patients).coefficients if c.name == "arm B")
        hits += arm.low < 1.0 < arm.high
    return hits / repetitions


@pytest.mark.soak
def test_the_arms_interval_holds_the_planted_effect_in_about_95_of_100_studies() -> None:
    assert 0.90 <= covered(100) <= 1.0


def test_ignoring_patients_would_pull_the_effect_towards_zero() -> None:
    answers, arms, readers, patients = simulated(3, patients=80, sigma=2.5)
    mixed = answer_model(answers, arms, readers, patients).coefficients[0].estimate
    alone = fit(answers, np.array([[arm == "B"] for arm in arms], dtype=float), ["arm B"]).coefficients[0].estimate
    assert alone < 0.75 * mixed


def test_patients_who_do_not_differ_give_sigma_zero_and_say_so() -> None:
    generator = np.random.default_rng(0)
    arms = [arm for _ in range(30) for arm in "AB"]
    answers = np.tile([0, 1, 1, 2, 0, 2], 10)  # the same answers for every pair of patients
    generator.shuffle(answers)
    patients = [str(case // 2) for case in range(60)]
    balanced = np.array([(0, 2), (2, 0), (1, 1)] * 10).ravel()  # each patient's answers have one mean
    found = fit(balanced, np.array([[arm == "B"] for arm in arms], dtype=float), ["arm B"], np.array(patients))
    assert found.sigma == 0
    assert found.sigma_interval[0] == 0
    assert any("sigma is 0" in note for note in found.notes)


def test_an_unused_category_is_left_out() -> None:
    answers = np.where(published.WINE.ravel() == 3, 4, published.WINE.ravel())
    found = fit(answers, DESIGN, NAMES)
    assert found.categories == (1, 2, 4, 5)
    assert len(found.thresholds) == 3


def test_separated_answers_are_refused() -> None:
    arm = np.repeat([0.0, 1.0], 30)
    answers = np.where(arm == 1, 3, np.tile([0, 1, 2], 20))
    with pytest.raises(Undefined, match="runs to infinity"):
        fit(answers, arm[:, None], ["arm"])


def test_a_last_reader_whose_answers_are_all_alike_is_refused() -> None:
    # Its effect is minus the sum of the others', each of which stays below what counts as infinite.
    generator = np.random.default_rng(1)
    readers = ["R1"] * 16 + ["R2"] * 16 + ["R3"]
    answers = np.append(generator.integers(0, 2, 32), 1)
    patients = [str(n % 16) for n in range(33)]
    with pytest.raises(Undefined, match="runs to infinity"):
        answer_model(answers, (["real", "synthetic"] * 17)[:33], readers, patients)


def test_constant_answers_and_dependent_columns_are_refused() -> None:
    with pytest.raises(Undefined, match="same category"):
        fit(np.ones(30, dtype=int), np.arange(30.0)[:, None], ["x"])
    with pytest.raises(Undefined, match="told apart"):
        fit(published.WINE.ravel(), np.hstack([DESIGN, DESIGN]), ["a", "b", "c", "d"])
    with pytest.raises(Undefined, match="too few"):
        fit(np.array([1, 2, 3, 1]), np.array([[0.0], [1.0], [0.0], [1.0]]), ["x"])
    with pytest.raises(Undefined, match="reference"):
        answer_model(*simulated(1, patients=3), reference="C")


def test_the_likelihood_does_not_depend_on_where_the_search_for_each_groups_effect_begins() -> None:
    """Two readers who all but agree: Newton's steps alone went to and fro for ever, and the profile failed."""
    first = [(n % 5, (n * 2) % 5) for n in range(12)]
    second = [(min(4, a + (n % 3 == 0)), b) for n, (a, b) in enumerate(first)]
    codes = np.array([answer for pairs in (first, second) for pair in pairs for answer in pair])
    arms, readers = ["a", "b"] * 24, ["R1"] * 24 + ["R2"] * 24
    patients = np.tile(np.repeat(np.arange(12), 2), 2)
    design = np.stack([np.array(arms) == "b", np.where(np.array(readers) == "R1", 1.0, -1.0)], axis=1).astype(float)
    likelihood = _Likelihood(codes, design, patients, 15)
    at = np.array([-2.65, 0.98, 0.60, 0.22, -0.15, -0.18, 1.13])
    values = []
    for start in (0.0, 1.0, -1.0, 3.0):
        likelihood.mode = np.full(12, start)
        values.append(likelihood.negative(at)[0])
    assert np.ptp(values) < 1e-9
    fitted = answer_model(codes, arms, readers, [str(patient) for patient in patients])
    assert fitted.sigma is not None
    assert fitted.sigma_interval is not None
    assert fitted.sigma_interval[0] < fitted.sigma < fitted.sigma_interval[1]
