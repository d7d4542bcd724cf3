"""The deep classifier: a small residual network on images, trained and stopped inside the training patients alone.

MONAI's ResNet (He et al., CVPR 2016; ten layers; group normalisation, which small batches do not disturb) in two or
three dimensions, as the images are. A fifth of the training
patients, stratified, is held back to stop early. The loss weighs both classes alike, so that a rare one is learnt too;
probabilities are then corrected to the prevalence among the training patients (by the logarithm of the weights' ratio,
Saerens et al., Neural Comput 2002). What becomes of an image before it gets here is `images`'s. Settings are our
choice: small enough for a processor.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import nn

from imagetranslation.errors import RunFailed

WIDTHS = (8, 16, 32, 64)
EPOCHS, LEAST, PATIENCE = 40, 10, 10  # of them, so many are always trained, and so many may bring nothing better
BATCH = 16
RATE, DECAY = 3e-3, 1e-2
HELD_BACK = 0.2  # share of the training patients that early stopping watches
SHIFT, NOISE = 2, 0.1  # of the augmentation: voxels along each axis, SD of added noise
THREADS = 1  # the result depends on it in the last digits


class ResNetClassifier:
    """fit and predict_proba as scikit-learn has them, for images (patients, channels, *grid).

    The same seed gives the same probabilities on a processor; on a GPU up to its order of additions. best_params_: the
    epoch whose weights were kept, and how many were trained. epochs: at most so many, `EPOCHS` by default.
    """

    def __init__(self, seed: int = 0, *, epochs: int = 0, device: str = "") -> None:
        self._seed, self._epochs = seed, epochs or EPOCHS
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.best_params_: dict[str, Any] = {}

    def fit(self, images: np.ndarray, labels: np.ndarray) -> ResNetClassifier:
        """Train; images float (patients, channels, *grid), labels (patients,) of 0 and 1."""
        random = np.random.default_rng(self._seed)
        learnt, watched = held_back(labels, random)
        with _settled(self._seed, self._device):
            self._network = network(images.ndim - 2, images.shape[1]).to(self._device)
            optimiser = torch.optim.AdamW(self._network.parameters(), lr=RATE, weight_decay=DECAY)
            weights = len(labels[learnt]) / (2 * np.bincount(labels[learnt], minlength=2))
            self._shift = float(np.log(weights[1] / weights[0]))
            seen, truth = self._tensor(images[watched]), self._tensor(labels[watched])
            least, best, kept = np.inf, 0, deepcopy(self._network.state_dict())
            for epoch in range(1, self._epochs + 1):
                self._epoch(images, labels, learnt, weights, optimiser, random)
                loss = float(_loss(self._logits(seen), truth, weights))
                if not np.isfinite(loss):
                    raise RunFailed("The network's loss is no number; look for images with extreme voxels.")
                # The loss of a handful of patients is noise at first: an untrained network must not be the best one.
                if epoch >= min(LEAST, self._epochs) and loss < least:
                    least, best, kept = loss, epoch, deepcopy(self._network.state_dict())
                if epoch - max(best, LEAST) >= PATIENCE:
                    break
            self._network.load_state_dict(kept)
        self.best_params_ = {"epoch": best, "epochs": epoch}
        return self

    def predict_proba(self, images: np.ndarray) -> np.ndarray:
        """Probabilities (patients, 2) of the labels 0 and 1, at the prevalence among the patients learnt from."""
        with _settled(self._seed, self._device):
            parts = [self._logits(self._tensor(images[n : n + 32])) for n in range(0, len(images), 32)]
        chance = torch.sigmoid(torch.cat(parts).double() - self._shift).cpu().numpy()
        return np.column_stack([1 - chance, chance])

    def _epoch(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        learnt: np.ndarray,
        weights: np.ndarray,
        optimiser: torch.optim.Optimizer,
        random: np.random.Generator,
    ) -> None:
        self._network.train()
        order = random.permutation(learnt)
        # Equal parts, so that no last batch of one patient moves the weights as much as sixteen do.
        for places in np.array_split(order, max(1, round(len(order) / BATCH))):
            batch = self._tensor(_changed(images[places], random))
            loss = _loss(self._network(batch)[:, 0], self._tensor(labels[places]), weights)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    def _logits(self, batch: torch.Tensor) -> torch.Tensor:
        self._network.eval()
        with torch.no_grad():
            return self._network(batch)[:, 0]

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)).to(self._device)


def network(dimensions: int, channels: int) -> nn.Module:
    """The untrained network: (n, channels, *grid) -> (n, 1), the logit of the label 1."""
    from monai.networks.nets import ResNet

    made: nn.Module = ResNet(
        "basic", [1, 1, 1, 1], list(WIDTHS), spatial_dims=dimensions, n_input_channels=channels, conv1_t_size=3,
        conv1_t_stride=2, no_max_pool=True, num_classes=1, norm=("group", {"num_groups": 4}),
    )  # fmt: skip
    return made


def held_back(labels: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Places of the patients to learn from and of those that early stopping watches; both kinds in each, if two are
    there."""
    watched: list[int] = []
    for kind in (0, 1):
        places = random.permutation(np.flatnonzero(labels == kind))
        if len(places) > 1:
            watched += list(places[: max(1, round(HELD_BACK * len(places)))])
    return np.setdiff1d(np.arange(len(labels)), watched), np.sort(np.array(watched, dtype=int))


def _loss(logits: torch.Tensor, truth: torch.Tensor, weights: np.ndarray) -> torch.Tensor:
    each = torch.where(truth > 0.5, float(weights[1]), float(weights[0]))
    return nn.functional.binary_cross_entropy_with_logits(logits, truth, weight=each)


def _changed(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The images moved by up to `SHIFT` voxels along each axis, edges repeated, with noise added."""
    moved = np.empty_like(images, dtype=np.float32)
    for place, image in enumerate(images):
        around = np.pad(image, [(0, 0)] + [(SHIFT, SHIFT)] * (image.ndim - 1), mode="edge")
        starts = random.integers(0, 2 * SHIFT + 1, image.ndim - 1)
        parts = tuple(slice(start, start + size) for start, size in zip(starts, image.shape[1:]))
        moved[place] = around[(slice(None), *parts)]
    return moved + random.normal(0, NOISE, moved.shape).astype(np.float32)


@contextlib.contextmanager
def _settled(seed: int, device: torch.device) -> Iterator[None]:
    """Seed and threads, both put back at the end."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)
