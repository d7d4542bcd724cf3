"""DualGAN: dual learning with Wasserstein critics (Yi, Zhang, Tan, Gong, ICCV 2017).

Critics are trained several times for each step of the generators and their weights are clipped (Arjovsky et al. 2017);
the generators' second term is the mean absolute error after both translations. The critics' repeated steps see the
same samples here, while the paper draws new ones for each: a step of ours is one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from pydantic import BaseModel, ConfigDict, Field

from .. import losses
from .parts import PatchGAN, both_ways, weight_of_target
from .protocol import Batch, Shape, Update, masked


class DualGANOptions(BaseModel):
    """cycle: weight of the reconstruction. clip: largest absolute weight of a critic. critic_steps: a generator's step.

    The defaults are the study's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    cycle: float = Field(default=100.0, ge=0)
    clip: float = Field(default=0.01, gt=0)
    critic_steps: int = Field(default=4, ge=1, le=20)
    critic: PatchGAN = PatchGAN()


class DualGAN:
    """Critics first, then the generators."""

    Options: type[BaseModel] = DualGANOptions
    optimisers: Mapping[str, tuple[str, ...]] = {
        "critic": ("of_target", "of_source"),
        "generator": ("generator", "back"),
    }
    unpaired = True

    def __init__(self, options: DualGANOptions) -> None:
        self.options = options

    def networks(self, generator: torch.nn.Module, shape: Shape) -> dict[str, torch.nn.Module]:
        """See `both_ways`; the judges are critics."""
        return both_ways(generator, self.options.critic, shape, "dualgan")

    def updates(
        self, batch: Batch, networks: Mapping[str, torch.nn.Module], random: torch.Generator
    ) -> Iterator[Update]:
        """`critic_steps` updates of both critics, one of both generators."""
        options, forth, back = self.options, networks["generator"], networks["back"]
        seen, wanted = batch.weight, weight_of_target(batch)
        made_target, made_source = forth(batch.source), back(batch.target)
        shown_target, shown_source = masked(made_target, seen), masked(made_source, wanted)
        of_target, of_source = networks["of_target"], networks["of_source"]
        real_target, real_source = masked(batch.target, wanted), masked(batch.source, seen)
        for _ in range(options.critic_steps):
            distance = of_target(real_target).mean() - of_target(shown_target.detach()).mean()
            distance = distance + of_source(real_source).mean() - of_source(shown_source.detach()).mean()
            yield Update("critic", -distance, {"wasserstein": distance.detach()})
            for critic in (of_target, of_source):
                clip(critic, options.clip)
        fooled = -of_target(shown_target).mean() - of_source(shown_source).mean()
        again = losses.weighted_l1(back(made_target), batch.source, seen)
        again = again + losses.weighted_l1(forth(made_source), batch.target, wanted)
        loss = fooled + options.cycle * again
        yield Update("generator", loss, {"generator_gan": fooled.detach(), "cycle": again.detach()})


def clip(critic: torch.nn.Module, largest: float) -> None:
    """Bring every weight into [-largest, largest]."""
    with torch.no_grad():
        for weight in critic.parameters():
            weight.clamp_(-largest, largest)
