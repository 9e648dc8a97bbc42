"""Trains the transformer and the text encoder of the sprites pipeline together by flow matching."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as distributed
from diffusers import WanTransformer3DModel
from transformers import T5Tokenizer, UMT5EncoderModel

from numina.sprites.caption_reading import CaptionReader, caption_labels
from numina.sprites.model import (
    build_text_encoder,
    build_tokenizer,
    build_transformer,
    load,
)
from numina.sprites.pools import Pool
from numina.sprites.training_attention import fold_padding, use_training_attention


@dataclass(frozen=True)
class StageSpec:
    """One stage of training: which latents, how long, how fast.

    Attributes:
        name: "images" or "clips"; the checkpoint remembers the seconds spent in each.
        minutes: Time to spend; a restarted stage goes on from the seconds already spent.
        batch: Samples a step.
        decay: Share of the stage at its end over which the learning rate falls to nothing; 0 keeps
            it.
        shift: Time shift of the noise levels. More than the sampler's: counts are decided near pure
            noise.
        reading_weight: Weight of the captions' reading beside the flow, see `CaptionReader`.
    """

    name: str
    minutes: float
    batch: int
    learning_rate: float = 2e-3
    decay: float = 0.0
    warmup_steps: int = 15
    dropped_captions: float = 0.1
    average: float = 0.992
    shift: float = 5.0
    reading_weight: float = 0.1


@dataclass(frozen=True)
class Samples:
    """What a step learns from: latents ``[B, C, F, y, x]``, tokens ``[B, K]``, their labels."""

    latents: torch.Tensor
    tokens: torch.Tensor
    labels: torch.Tensor


class FlowTrainer:
    """The models, their running average and both optimizers, all in one checkpoint."""

    def __init__(
        self, folder: Path, seed: int, compiled: bool = True, start: Path | None = None
    ) -> None:
        torch.manual_seed(seed)
        running = distributed.is_initialized()
        self.rank = distributed.get_rank() if running else 0
        self.processes = distributed.get_world_size() if running else 1
        self.path = folder / "flow.pt"
        self.tokenizer = build_tokenizer()
        self.transformer = build_transformer()
        self.text_encoder = build_text_encoder(len(self.tokenizer))
        self.reader = CaptionReader()
        if start is not None:
            self._start_from(start)
        self.averages = [p.detach().clone() for p in self.parameters]
        matrices = [
            p
            for n, p in self.transformer.named_parameters()
            if p.ndim == 2 and n.startswith("blocks.")
        ]
        chosen = {id(p) for p in matrices}
        others = [p for p in self.parameters if id(p) not in chosen]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Muon(
                matrices,
                lr=1e-3,
                momentum=0.95,
                weight_decay=0.0,
                adjust_lr_fn="match_rms_adamw",
                ns_steps=4,
            ),
            torch.optim.AdamW(
                [*others, *self.reader.parameters()], lr=1e-3, betas=(0.9, 0.95), weight_decay=0.0
            ),
        ]
        self.step, self.seconds, self.losses = 0, dict[str, float](), dict[str, float]()
        if self.path.exists():
            self._restore()
        use_training_attention(self.transformer)
        if compiled:
            self.transformer.compile_repeated_blocks(dynamic=False)
        self.transformer.train()
        self.text_encoder.train()

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """Parameters of both models, in a fixed order."""
        return [*self.transformer.parameters(), *self.text_encoder.parameters()]

    def run(self, stage: StageSpec, pool: Pool, seed: int) -> None:
        """Train for the minutes of the stage, saving every minute and a half.

        Under `torch.distributed` every process brings its own samples and all take the same steps:
        on a processor two processes of one thread are faster than one of two, whose threads wait
        for each other at every small operation.
        """
        tokens = encode_captions(self.tokenizer, ["", *pool.captions])
        labels = caption_labels(self.tokenizer, tokens)
        generator = torch.Generator().manual_seed((seed * 1_000_003 + self.step) * 64 + self.rank)
        elapsed, total = self.seconds.get(stage.name, 0.0), stage.minutes * 60
        began, first_step, saved, logged = time.monotonic() - elapsed, self.step, elapsed, elapsed
        start = elapsed
        while elapsed < total:
            rate = stage.learning_rate * min(1.0, (self.step - first_step + 1) / stage.warmup_steps)
            if stage.decay:
                rate *= max(0.01, min(1.0, (1 - elapsed / total) / stage.decay))
            rows = torch.randint(len(pool), (stage.batch,), generator=generator)
            dropped = torch.rand(stage.batch, generator=generator) < stage.dropped_captions
            texts = torch.where(dropped, 0, rows + 1)
            elapsed = time.monotonic() - began
            samples = Samples(pool.latents[rows].float(), tokens[texts], labels[texts])
            loss, elapsed = self._update(samples, stage, rate, generator, elapsed)
            before = self.losses.get(stage.name, loss)
            self.losses[stage.name] = 0.98 * before + 0.02 * loss
            if elapsed - logged > 20 and self.rank == 0:
                logged = elapsed
                speed = (self.step - first_step) * stage.batch * self.processes / (elapsed - start)
                print(
                    f"{stage.name} {elapsed:.0f}s step {self.step} "
                    f"loss {self.losses[stage.name]:.4f} rate {rate:.1e} samples/s {speed:.1f}",
                    flush=True,
                )
            self.seconds[stage.name] = elapsed
            if elapsed - saved > 90:
                saved = elapsed
                self.save()
        self.save()

    def _update(
        self,
        samples: Samples,
        stage: StageSpec,
        rate: float,
        generator: torch.Generator,
        elapsed: float,
    ) -> tuple[float, float]:
        """One step; returns the loss and the elapsed seconds, both averaged over the processes."""
        data = samples.latents
        noise = torch.randn(data.shape, generator=generator)
        uniform = torch.rand(len(data), generator=generator)
        level = stage.shift * uniform / (1 + (stage.shift - 1) * uniform)
        mix = level.view(-1, 1, 1, 1, 1)
        with torch.autocast("cpu", torch.bfloat16):
            embeddings = embed_text(self.text_encoder, samples.tokens)
            velocity = self.transformer(
                (1 - mix) * data + mix * noise,
                level * 1000,
                fold_padding(embeddings),
                return_dict=False,
            )[0]
        flow_loss = ((velocity.float() - (noise - data)) ** 2).mean()
        reading = self.reader.loss(embeddings.float(), samples.labels)
        loss = flow_loss + stage.reading_weight * reading
        loss.backward()
        told, elapsed = self._share_gradients(flow_loss.item(), elapsed)
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        weight = 1 - min(stage.average, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.averages, [p.detach() for p in self.parameters], weight)
        return told, elapsed

    def _share_gradients(self, loss: float, elapsed: float) -> tuple[float, float]:
        """Average gradients, loss and clock, so that all processes take the same decisions."""
        if self.processes == 1:
            return loss, elapsed
        learnt = [*self.parameters, *self.reader.parameters()]
        gradients = [p.grad for p in learnt if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor([loss, elapsed])])
        distributed.all_reduce(flat)
        flat /= self.processes
        shares = flat[:-2].split([g.numel() for g in gradients])
        torch._foreach_copy_(
            gradients, [s.view_as(g) for s, g in zip(shares, gradients, strict=True)]
        )
        return float(flat[-2]), float(flat[-1])

    def save(self) -> None:
        """Write everything needed to go on to one file, replaced as a whole."""
        if self.rank:
            return
        state = {
            "parameters": [p.detach() for p in self.parameters],
            "averages": self.averages,
            "reader": self.reader.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "step": self.step,
            "seconds": self.seconds,
            "losses": self.losses,
        }
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.rename(self.path)

    def _start_from(self, pipeline: Path) -> None:
        """Take the weights of a finished pipeline; a checkpoint of this run overrides them."""
        trained = load(torch.float32, pipeline)
        _fill(
            self.parameters,
            [*trained.transformer.parameters(), *trained.text_encoder.parameters()],
        )

    def _restore(self) -> None:
        state = torch.load(self.path, weights_only=False)
        _fill(self.parameters, state["parameters"])
        _fill(self.averages, state["averages"])
        self.reader.load_state_dict(state["reader"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.step, self.seconds, self.losses = state["step"], state["seconds"], state["losses"]


def averaged_models(
    state: dict[str, Any], vocabulary_size: int
) -> tuple[WanTransformer3DModel, UMT5EncoderModel]:
    """Build both models from the averaged weights of a checkpoint."""
    transformer, text_encoder = build_transformer(), build_text_encoder(vocabulary_size)
    _fill([*transformer.parameters(), *text_encoder.parameters()], state["averages"])
    return transformer.eval(), text_encoder.eval()


def encode_captions(tokenizer: T5Tokenizer, captions: list[str]) -> torch.Tensor:
    """Token ids ``[B, K]``, zero-padded to the longest caption."""
    ids: torch.Tensor = tokenizer(captions, padding=True, return_tensors="pt").input_ids
    return ids


def embed_text(text_encoder: UMT5EncoderModel, texts: torch.Tensor) -> torch.Tensor:
    """Embeddings ``[B, K, C]`` with rows of zeros for the padding, as the pipeline gives them."""
    real = texts != 0
    hidden: torch.Tensor = text_encoder(texts, real.long()).last_hidden_state
    return hidden * real[..., None].to(hidden.dtype)


@torch.no_grad()
def _fill(parameters: Sequence[torch.Tensor], values: list[torch.Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
