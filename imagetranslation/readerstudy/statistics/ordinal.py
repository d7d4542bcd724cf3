"""The cumulative-link (proportional odds) model of ordinal answers with a random intercept for patients or cases.

logit P(Y <= c) = theta_c - x'beta - u_g, u_g ~ N(0, sigma^2) (McCullagh, J R Stat Soc B 1980, 42:109-142). The
likelihood is integrated over u by adaptive Gauss-Hermite quadrature (Pinheiro and Bates, J Comput Graph Stat 1995,
4:12-35), of our own writing because statsmodels' OrderedModel has no random effects. A positive coefficient means
higher answers. What goes into x is left to the caller (`answer_model` takes arms and readers as fixed effects).

On request standard errors are robust to whatever else ties the answers of one group together, such as an image that all
readers like less: the sandwich of the groups' scores (Liang and Zeger, Biometrika 1986, 73:13-22), with groups - 1
degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .estimates import Undefined

NODES = 15
FEWEST_NODES = 5  # the gradient is that of the integral, which fewer nodes do not follow
SMALL_SIGMA = 1e-3  # below this the groups do not differ as far as the data can tell
LARGE = 15.0  # a log odds ratio, or the standard error of one, beyond this is one that runs to infinity
SEPARATED = "a coefficient runs to infinity: one arm or reader separates the answers completely"
SOURCE = (
    "McCullagh, J R Stat Soc B 1980; adaptive quadrature: Pinheiro and Bates, J Comput Graph Stat 1995; robust errors: "
    "Liang and Zeger, Biometrika 1986"
)


@dataclass(frozen=True)
class Coefficient:
    """One fixed effect on the log-odds scale with its Wald test and interval; odds_ratio is its exponential.

    z: estimate over standard error; p and interval by the normal distribution, by Student's t for robust errors.
    """

    name: str
    estimate: float
    standard_error: float
    z: float
    p: float
    low: float
    high: float
    odds_ratio: float


@dataclass(frozen=True)
class OrdinalFit:
    """A fitted model; sigma None: no random effect asked for. thresholds: one fewer than the categories used."""

    coefficients: tuple[Coefficient, ...]
    thresholds: tuple[float, ...]
    threshold_errors: tuple[float, ...]
    categories: tuple[int, ...]
    sigma: float | None
    sigma_interval: tuple[float, float] | None
    log_likelihood: float
    parameters: int
    n: dict[str, int]
    method: str
    level: float
    notes: tuple[str, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()  # of the coefficients

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "source": SOURCE}


class _Likelihood:
    """Log-likelihood and gradient; parameters: first threshold, log steps, beta, log sigma (with groups)."""

    def __init__(self, codes: np.ndarray, design: np.ndarray, groups: np.ndarray | None, nodes: int) -> None:
        order = np.arange(len(codes)) if groups is None else np.argsort(groups, kind="stable")
        self.order = order
        self.codes, self.design = codes[order], design[order]
        self.steps = int(codes.max())  # number of thresholds
        self.grouped = groups is not None
        if groups is not None:
            self.group = np.unique(groups[order], return_inverse=True)[1]
            self.starts = np.flatnonzero(np.r_[True, np.diff(self.group) > 0])
            self.mode = np.zeros(len(self.starts))
            points, weights = np.polynomial.hermite.hermgauss(nodes)
            self.points = np.sqrt(2) * points
            # log of weight times e^{z^2} times sqrt(2), and the normal density's constant
            self.log_weights = np.log(weights) + points**2 + 0.5 * np.log(2) - 0.5 * np.log(2 * np.pi)

    def split(self, parameters: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        k = self.steps
        thresholds = np.cumsum(np.r_[parameters[0], np.exp(parameters[1:k])])
        beta = parameters[k : k + self.design.shape[1]]
        return thresholds, beta, float(np.exp(parameters[-1])) if self.grouped else 0.0

    def bounds(self) -> list[tuple[float, float]]:
        """How far the search may go: beyond these a fit is refused, and logistic functions are 0 or 1."""
        steps, effects = [(-12.0, 4.0)] * (self.steps - 1), [(-30.0, 30.0)] * self.design.shape[1]
        return [(-40.0, 40.0), *steps, *effects, *([(-12.0, 4.0)] if self.grouped else [])]

    def negative(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus log-likelihood and its gradient (posterior mean of the scores, Fisher's identity)."""
        thresholds, beta, sigma = self.split(parameters)
        edges = np.r_[-np.inf, thresholds, np.inf]
        upper, lower = edges[self.codes + 1], edges[self.codes]
        fixed = self.design @ beta
        if not self.grouped:
            score = _Scores(upper, lower, fixed[:, None])
            share = np.ones((len(fixed), 1))
            return -float(score.log.sum()), -self._gradient(parameters, score, share, None)
        mode, spread = self._modes(upper, lower, fixed, sigma)
        effect = mode[:, None] + spread[:, None] * self.points
        score = _Scores(upper, lower, fixed[:, None] + sigma * effect[self.group])
        joint = np.add.reduceat(score.log, self.starts, axis=0) - effect**2 / 2 + self.log_weights
        top = joint.max(axis=1, keepdims=True)
        total = np.exp(joint - top).sum(axis=1)
        share = np.exp(joint - top) / total[:, None]
        log = float((top[:, 0] + np.log(total) + np.log(spread)).sum())
        gradient = self._gradient(parameters, score, share[self.group], effect[self.group] * sigma)
        return -log, -gradient

    def _gradient(
        self, parameters: np.ndarray, score: _Scores, share: np.ndarray, effect: np.ndarray | None
    ) -> np.ndarray:
        return np.asarray(self._by_answer(parameters, score, share, effect).sum(axis=0))

    def _by_answer(
        self, parameters: np.ndarray, score: _Scores, share: np.ndarray, effect: np.ndarray | None
    ) -> np.ndarray:
        """What each answer adds to the gradient, (answers, parameters)."""
        k, rows = self.steps, np.arange(len(self.codes))
        edge = np.zeros((len(rows), k + 2))  # derivative by each edge; the outermost two are infinite and unused
        edge[rows, self.codes + 1] += (share * score.by_upper).sum(axis=1)
        edge[rows, self.codes] += (share * score.by_lower).sum(axis=1)
        # A step moves its threshold and all above it.
        tail = np.cumsum(edge[:, -2:0:-1], axis=1)[:, ::-1]
        by_eta = share * score.by_eta
        parts = [tail[:, :1], tail[:, 1:] * np.exp(parameters[1:k]), self.design * by_eta.sum(axis=1)[:, None]]
        if effect is not None:
            parts.append((by_eta * effect).sum(axis=1)[:, None])
        return np.concatenate(parts, axis=1)

    def scores(self, parameters: np.ndarray, clusters: np.ndarray) -> np.ndarray:
        """Gradient of the log-likelihood of each cluster, (clusters, parameters); clusters: of each answer as given."""
        thresholds, beta, sigma = self.split(parameters)
        edges = np.r_[-np.inf, thresholds, np.inf]
        upper, lower, fixed = edges[self.codes + 1], edges[self.codes], self.design @ beta
        if not self.grouped:
            score = _Scores(upper, lower, fixed[:, None])
            rows = self._by_answer(parameters, score, np.ones((len(fixed), 1)), None)
        else:
            mode, spread = self._modes(upper, lower, fixed, sigma)
            effect = mode[:, None] + spread[:, None] * self.points
            score = _Scores(upper, lower, fixed[:, None] + sigma * effect[self.group])
            joint = np.add.reduceat(score.log, self.starts, axis=0) - effect**2 / 2 + self.log_weights
            share = np.exp(joint - joint.max(axis=1, keepdims=True))
            share /= share.sum(axis=1, keepdims=True)
            rows = self._by_answer(parameters, score, share[self.group], effect[self.group] * sigma)
        codes = np.unique(clusters[self.order], return_inverse=True)[1]
        total = np.zeros((codes.max() + 1, rows.shape[1]))
        np.add.at(total, codes, rows)
        return total

    def _modes(
        self, upper: np.ndarray, lower: np.ndarray, fixed: np.ndarray, sigma: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Each group's most likely standardised effect and the curvature's standard deviation.

        The slope falls everywhere, so Newton's method is kept within the bracket that its signs have shown; without
        it the steps of groups at the end of the scale go to and fro for ever.
        """
        mode = self.mode
        low, high = np.full(len(mode), -np.inf), np.full(len(mode), np.inf)
        for _ in range(100):
            score = _Scores(upper, lower, (fixed + sigma * mode[self.group])[:, None])
            slope = sigma * np.add.reduceat(score.by_eta[:, 0], self.starts) - mode
            bend = sigma**2 * np.add.reduceat(score.curvature[:, 0], self.starts) - 1
            low, high = np.where(slope > 0, mode, low), np.where(slope < 0, mode, high)
            after = mode + np.clip(-slope / bend, -2, 2)
            moving = np.abs(after - mode) > 1e-9
            mode = after
            if not moving.any():
                break
            back = moving & ((mode <= low) | (mode >= high)) & np.isfinite(low) & np.isfinite(high)
            mode[back] = (low[back] + high[back]) / 2
        self.mode = mode
        return mode, 1 / np.sqrt(-bend)


class _Scores:
    """log P of each answer and its derivatives, arrays (answers, nodes).

    With logistic F: P = F(a) - F(b) = F(a) F(-b) (1 - e^(b-a)) for a = upper - eta, b = lower - eta, so that nothing
    cancels, and d log P / d eta = F(a) + F(b) - 1.
    """

    def __init__(self, upper: np.ndarray, lower: np.ndarray, eta: np.ndarray) -> None:
        from scipy.special import expit, log_expit

        a, b = upper[:, None] - eta, lower[:, None] - eta
        below_a, below_b = expit(a), expit(b)
        width = upper - lower
        with np.errstate(over="ignore"):
            overlap = np.where(np.isfinite(width), 1 / np.expm1(width), 0.0)[:, None]
            self.log = log_expit(a) + log_expit(-b) + np.log(-np.expm1(-width))[:, None]
        self.by_eta = below_a + below_b - 1
        self.curvature = -(below_a * (1 - below_a) + below_b * (1 - below_b))
        self.by_upper = 1 - below_a + overlap
        self.by_lower = -below_b - overlap


def fit(
    codes: np.ndarray,
    design: np.ndarray,
    names: Sequence[str],
    groups: np.ndarray | None = None,
    *,
    level: float = 0.95,
    nodes: int = NODES,
    profile: bool = True,
    robust: bool = False,
) -> OrdinalFit:
    """codes: (n,) integers, the answers in their order; design: (n, p) without intercept; groups: (n,) or None.

    Categories nobody used are left out of the thresholds. Wald intervals for coefficients, a profile-likelihood
    interval for sigma. robust: standard errors that hold also where answers of one group belong together in other ways
    than by its intercept. Undefined when fewer than two categories were used, when columns of the design depend on each
    other, or when a coefficient runs to infinity (an arm or reader whose answers are separated from all others).
    """
    if nodes < FEWEST_NODES:
        raise ValueError(f"at least {FEWEST_NODES} nodes are needed; got {nodes}")
    used, answers = np.unique(codes, return_inverse=True)
    columns = np.asarray(design, dtype=float).reshape(len(codes), -1)
    _check(used, answers, columns)
    likelihood = _Likelihood(answers, columns, groups, nodes)
    found = _maximise(likelihood, answers)
    notes: tuple[str, ...] = ()
    if likelihood.grouped and np.exp(found[-1]) < SMALL_SIGMA:
        likelihood, notes = _Likelihood(answers, columns, None, nodes), ("the groups do not differ: sigma is 0",)
        found = _maximise(likelihood, answers)
    value, _ = likelihood.negative(found)
    errors = _standard_errors(likelihood, found, groups if robust else None)
    thresholds, beta, sigma = likelihood.split(found)
    k = likelihood.steps
    coefficients = tuple(
        _coefficient(name, float(b), float(e), level, errors.degrees)
        for name, b, e in zip(names, beta, errors.parameters[k:])
    )
    interval = None
    if groups is not None and profile:
        interval = _profile(answers, columns, groups, nodes, -value, found, level)
    n = {"answers": len(codes), **({"groups": len(np.unique(groups))} if groups is not None else {})}
    how = "no random effect" if groups is None else f"adaptive Gauss-Hermite quadrature, {nodes} nodes"
    return OrdinalFit(
        coefficients,
        tuple(float(threshold) for threshold in thresholds),
        tuple(float(error) for error in errors.thresholds),
        tuple(int(category) for category in used),
        None if groups is None else sigma,
        interval,
        -value,
        len(found) + (1 if notes else 0),
        n,
        f"proportional odds, {how}, L-BFGS-B and Newton, {errors.kind}; profile interval for sigma",
        level,
        notes,
        tuple(tuple(float(v) for v in row) for row in errors.effects),
    )


def answer_model(
    codes: np.ndarray,
    arms: Sequence[str],
    readers: Sequence[str],
    patients: Sequence[str],
    *,
    reference: str | None = None,
    level: float = 0.95,
) -> OrdinalFit:
    """The study's model: arms against `reference` (by default the first), readers as fixed effects against the mean
    reader (the last reader's effect is minus the sum of the others'), patients as random intercepts. All of length n.
    It speaks of these readers and of patients like these. The model has no effect of single images, whose answers by
    several readers belong together; its standard errors allow for it, patient by patient."""
    arm_names, reader_names = sorted(set(arms)), sorted(set(readers))
    base = reference or arm_names[0]
    if base not in arm_names:
        raise Undefined(f"no answer is about the reference arm {base!r}")
    named = [
        (f"arm {name}", np.array([arm == name for arm in arms], dtype=float)) for name in arm_names if name != base
    ]
    last = np.array([reader == reader_names[-1] for reader in readers], dtype=float)
    for name in reader_names[:-1]:
        named.append((f"reader {name}", np.array([reader == name for reader in readers], dtype=float) - last))
    design = np.stack([column for _, column in named], axis=1) if named else np.zeros((len(codes), 0))
    return fit(codes, design, [name for name, _ in named], np.asarray(patients), level=level, robust=True)


def _check(used: np.ndarray, answers: np.ndarray, design: np.ndarray) -> None:
    if len(used) < 2:
        raise Undefined("all answers are the same category, so there is nothing to model")
    full = np.hstack([np.ones((len(design), 1)), design])
    if np.linalg.matrix_rank(full) < full.shape[1]:
        raise Undefined("arms and readers cannot be told apart: their columns depend on each other")
    needed = full.shape[1] + len(used)
    if len(answers) <= needed:
        raise Undefined(f"{len(answers)} answers are too few for {needed} parameters")


def _start(answers: np.ndarray, count: int, grouped: bool) -> np.ndarray:
    share = np.cumsum(np.bincount(answers))[:-1] / len(answers)
    thresholds = np.log(share / (1 - share))
    steps = np.log(np.maximum(np.diff(thresholds), 1e-3))
    return np.concatenate([thresholds[:1], steps, np.zeros(count), [0.0] if grouped else []])


def _maximise(likelihood: _Likelihood, answers: np.ndarray) -> np.ndarray:
    start = _start(answers, likelihood.design.shape[1], likelihood.grouped)
    found = _bfgs(likelihood.negative, start, likelihood.bounds())
    k = likelihood.steps
    beta = found[k : k + likelihood.design.shape[1]]
    if len(beta) and np.abs(beta).max() > LARGE:
        raise Undefined(SEPARATED)
    if likelihood.grouped and np.exp(found[-1]) < SMALL_SIGMA:
        return found
    return _polish(likelihood.negative, found)


Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


def _bfgs(objective: Objective, start: np.ndarray, bounds: list[tuple[float, float]]) -> np.ndarray:
    from scipy.optimize import minimize

    options = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7}
    return np.asarray(minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x)


def _polish(objective: Objective, found: np.ndarray) -> np.ndarray:
    for _ in range(10):
        value, gradient = objective(found)
        if np.abs(gradient).max() < 1e-7:
            return found
        try:
            step = np.linalg.solve(_hessian(objective, found), gradient)
        except np.linalg.LinAlgError as error:
            raise Undefined("the model has no unique best fit to these answers") from error
        while objective(found - step)[0] > value + 1e-9 and np.abs(step).max() > 1e-10:
            step = step / 2
        found = found - step
    if np.abs(objective(found)[1]).max() > 1e-3:
        raise Undefined("the fit did not converge; the answers say too little about so many effects")
    return found


def _hessian(objective: Objective, at: np.ndarray) -> np.ndarray:
    step = 1e-5
    moved = [(objective(at + step * unit)[1] - objective(at - step * unit)[1]) / (2 * step) for unit in np.eye(len(at))]
    matrix = np.array(moved)
    return (matrix + matrix.T) / 2


@dataclass(frozen=True)
class _Errors:
    """Standard errors, the effects' covariance, and degrees of freedom of Student's t, None for the normal."""

    parameters: np.ndarray
    thresholds: np.ndarray
    effects: np.ndarray
    degrees: int | None
    kind: str


def _standard_errors(likelihood: _Likelihood, found: np.ndarray, groups: np.ndarray | None) -> _Errors:
    try:
        inverse = np.linalg.inv(_hessian(likelihood.negative, found))
    except np.linalg.LinAlgError as error:
        raise Undefined("the standard errors cannot be had: the likelihood is flat") from error
    k, effects = likelihood.steps, slice(likelihood.steps, likelihood.steps + likelihood.design.shape[1])
    if (np.diag(inverse) <= 0).any():
        raise Undefined("the standard errors cannot be had: the likelihood is flat")
    if (np.diag(inverse)[effects] > LARGE**2).any():
        # What runs to infinity may be the last reader's effect, which is shared out among the others'.
        raise Undefined(SEPARATED)
    covariance, degrees, kind = inverse, None, "Wald intervals"
    if groups is not None and (count := len(np.unique(groups))) > 1:
        scores = likelihood.scores(found, groups)
        covariance = inverse @ (scores.T @ scores) @ inverse * count / (count - 1)
        degrees = count - 1
        kind = f"Wald intervals robust to what ties a group's answers together, {degrees} degrees of freedom"
    lower = np.tril(np.ones((k, k)))
    lower[:, 1:] = lower[:, 1:] * np.exp(found[1:k])
    of_thresholds = lower @ covariance[:k, :k] @ lower.T
    errors = np.sqrt(np.diag(covariance)), np.sqrt(np.diag(of_thresholds))
    return _Errors(*errors, covariance[effects, effects], degrees, kind)


def _coefficient(name: str, estimate: float, error: float, level: float, degrees: int | None) -> Coefficient:
    from scipy.stats import norm
    from scipy.stats import t as student

    law = norm if degrees is None else student(degrees)
    half, z = float(law.ppf(0.5 + level / 2)) * error, estimate / error
    p = float(2 * law.sf(abs(z)))
    return Coefficient(name, estimate, error, z, p, estimate - half, estimate + half, float(np.exp(estimate)))


def wald(found: OrdinalFit, prefix: str) -> tuple[float, int, int, float]:
    """F, its two degrees of freedom and p of all effects whose names begin so being 0, with the robust covariance.

    Undefined without groups, and where there are not more groups than such effects.
    """
    from scipy.stats import f as fisher

    places = [n for n, one in enumerate(found.coefficients) if one.name.startswith(prefix)]
    groups, count = found.n.get("groups", 0), len(places)
    if not places or groups - 1 < count:
        raise Undefined(f"{count} effects cannot be tested together with {groups} groups")
    values = np.array([found.coefficients[n].estimate for n in places])
    matrix = np.array(found.covariance)[np.ix_(places, places)]
    value = float(values @ np.linalg.solve(matrix, values)) / count
    return value, count, groups - 1, float(fisher.sf(value, count, groups - 1))


def _profile(
    answers: np.ndarray,
    design: np.ndarray,
    groups: np.ndarray,
    nodes: int,
    best: float,
    found: np.ndarray,
    level: float,
) -> tuple[float, float]:
    """Where twice the loss of log-likelihood with sigma held reaches the chi-square quantile; 0 at the lower border."""
    from scipy.optimize import brentq
    from scipy.stats import chi2

    limit = float(chi2.ppf(level, 1))
    likelihood = _Likelihood(answers, design, groups, nodes)
    with_sigma = len(found) == likelihood.steps + design.shape[1] + 1
    free = found[:-1] if with_sigma else found
    centre = float(np.exp(found[-1])) if with_sigma else SMALL_SIGMA

    def loss(sigma: float) -> float:
        def held(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = likelihood.negative(np.append(parameters, np.log(sigma)))
            return value, gradient[:-1]

        return 2 * (best + held(_bfgs(held, free, likelihood.bounds()[:-1]))[0]) - limit

    low = 0.0 if centre <= SMALL_SIGMA or loss(SMALL_SIGMA) < 0 else brentq(loss, SMALL_SIGMA, centre, xtol=1e-4)
    high = max(2 * centre, 0.5)
    while loss(high) < 0 and high < 100:
        high *= 2
    return float(low), float(brentq(loss, max(centre, SMALL_SIGMA), high, xtol=1e-4)) if high < 100 else float("inf")
