"""The classifiers: each a scikit-learn Pipeline, so that whatever is fitted is fitted on training patients alone.

Scaling, choice of features and principal components stand inside the pipeline; a setting is chosen by a search inside
the training patients (the inner loop of a nested cross-validation). The deep one (`resnet`) is given images instead of
features and has nothing outside the network that could be fitted. No class is weighted: probabilities refer to the
prevalence among the training patients, and the area under the ROC curve needs no weights (van den Goorbergh et al.,
J Am Med Inform Assoc 2022, on the harm that weights do to calibration).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from imagetranslation.errors import InputError

TREES = 300
FEATURES, IMAGES = "features", "images"


@dataclass(frozen=True)
class Model:
    """build: a fresh pipeline for a seed. searched: settings that the inner loop chooses from. source: whence it is.

    learns_from: "features" (patients, features) or "images" (patients, channels, *grid).
    """

    name: str
    build: Callable[[int], Any]
    searched: Mapping[str, tuple[Any, ...]]
    source: str
    learns_from: str = FEATURES


def find(name: str) -> Model:
    """A model by name; InputError for an unknown one."""
    if name not in MODELS:
        raise InputError(f"Unknown classifier {name!r}; there are {', '.join(MODELS)}.")
    return MODELS[name]


def _random_forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline

    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    return Pipeline([("classifier", forest)])


def _pca_forest(seed: int) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    forest = RandomForestClassifier(TREES, random_state=seed, n_jobs=1)
    return Pipeline([("scale", StandardScaler()), ("reduce", PCA(0.95, random_state=seed)), ("classifier", forest)])


def _elastic_net(seed: int) -> Any:
    import sklearn
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    # Before 1.8 the share alone changes nothing, and from 1.8 on the penalty is told by the share alone.
    before = tuple(int(part) for part in sklearn.__version__.split(".")[:2]) < (1, 8)
    mixed: dict[str, Any] = {"l1_ratio": 0.5, **({"penalty": "elasticnet"} if before else {})}
    linear = LogisticRegression(solver="saga", max_iter=2000, tol=1e-3, random_state=seed, **mixed)
    return Pipeline([("scale", StandardScaler()), ("classifier", linear)])


def _boosting(seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import Pipeline

    boosted = HistGradientBoostingClassifier(max_iter=100, min_samples_leaf=5, random_state=seed)
    return Pipeline([("classifier", boosted)])


def _resnet(seed: int) -> Any:
    from .resnet import ResNetClassifier

    return ResNetClassifier(seed)


MODELS = {
    made.name: made
    for made in (
        Model("random-forest", _random_forest, {"classifier__max_features": ("sqrt", 0.3)}, "study"),
        Model("pca-random-forest", _pca_forest, {"reduce__n_components": (0.8, 0.95)}, "study"),
        Model("elastic-net", _elastic_net, {"classifier__C": (0.01, 0.1, 1.0)}, "our choice"),
        Model("gradient-boosting", _boosting, {"classifier__learning_rate": (0.03, 0.1)}, "our choice"),
        Model("resnet10", _resnet, {}, "the study's deep classifier is not described; our choice", IMAGES),
    )
}


def of_kind(learns_from: str) -> list[str]:
    """Names of the models that learn from features, or from images."""
    return [name for name, model in MODELS.items() if model.learns_from == learns_from]
