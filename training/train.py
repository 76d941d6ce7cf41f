"""Train the memory network on made clips: ``python training/train.py ASSETS OUT --minutes 20``, on one GPU.

Writes into OUT: ``network.pt`` (the mean of the last weights), ``state.pt`` (to go on from, with ``--resume``),
``record.json`` (settings, versions, curve) and contact sheets of what is learned and of what comes out.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from dice import Dice
from losses import Loss, loss
from network import Features, MemoryNetwork, at_stride4, cell_places, join
from stream import Stream
from torch import Tensor
from torch.nn import functional

from clips import Batch, Clips, sheet

RATE, WARM = 8e-4, 0.03
"""Learning rate at its highest, by default; share of the training in which it rises."""

BACKBONE_RATE, FROZEN = 0.15, 0.08
"""The backbone learns so much slower, and not at all in this first share unless all of the network is trained."""

LONG = 0.55
"""From this share on, clips are longer and fewer."""

DECAY = 0.998
"""Of the mean of weights."""

FORGET, FORGET_LAST = 0.15, 0.1
"""How often the carried mask, and what the last frame says, are left out."""

CHECK = 8
"""Batches of held-out assets that a check looks at."""


def run(network: MemoryNetwork, batch: Batch) -> tuple[Tensor, Tensor]:
    """Track the target of each clip from its first mask.

    Returns:
        logits (b, t - 1, h/2, w/2) of the frames after the first, and the logits of their IoU (b, t - 1).
    """
    clips, frames = batch.masks.shape[:2]
    pictures = batch.pictures.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    everything = [part.unflatten(0, (clips, frames)) for part in network.encoder(pictures)]
    moments = [Features(*(part[:, t] for part in everything)) for t in range(frames)]
    places = cell_places(moments[0])
    carried = functional.avg_pool2d(batch.masks[:, 0], 4)
    first = network.remember(moments[0], carried)
    memories, last, logits, quality = [first], first, [], []
    for moment in moments[1:]:
        dropped = last._replace(values=last.values * kept(carried, FORGET_LAST)[:, 0].to(last.values.dtype))
        read = network.reader(moment.key, join(memories), first.keys.shape[2], dropped, places, places)
        answer, rating = network.decoder(moment, read, carried * kept(carried, FORGET))
        logits.append(answer[:, 0])
        quality.append(rating[:, 0])
        carried = at_stride4(answer)
        last = network.remember(moment, carried)
        memories.append(last)
    return torch.stack(logits, 1), torch.stack(quality, 1)


def kept(masks: Tensor, forget: float) -> Tensor:
    """1 for the clips whose mask is carried over, (b, 1, 1, 1)."""
    return (torch.rand(len(masks), 1, 1, 1, device=masks.device) >= forget).to(masks.dtype)


def judge(network: MemoryNetwork, batch: Batch, progress: float) -> Loss:
    """The loss on a batch."""
    device = batch.pictures.device.type
    with torch.autocast(device, torch.bfloat16):
        logits, quality = run(network, batch)
    truth = functional.avg_pool2d(batch.masks[:, 1:, 0], 2)
    return loss(logits, quality, truth, batch.valid, progress)


class Training:
    """One training, which can be stopped and gone on with."""

    def __init__(self, settings: argparse.Namespace) -> None:
        self.settings, self.device = settings, torch.device(settings.device)
        torch.manual_seed(settings.seed)
        self.clips = Stream(settings.assets, self.device, settings.size, settings.seed + settings.resume * 1000)
        self.held_out = Clips(settings.assets, self.device, settings.size, settings.seed + 1, part="held-out")
        self.network = MemoryNetwork()
        if settings.start:
            self.network.load_state_dict(_start_of(settings.start))
        else:
            self.network.encoder.backbone.load_pretrained()
        self.network.to(self.device).to(memory_format=torch.channels_last)
        self.backbone = list(self.network.encoder.backbone.parameters())
        slow = {id(p) for p in self.backbone}
        groups = [
            {"params": [p for p in self.network.parameters() if id(p) not in slow], "factor": 1.0},
            {"params": self.backbone, "factor": BACKBONE_RATE},
        ]
        fused = self.device.type == "cuda"
        self.optimiser = torch.optim.AdamW(groups, lr=RATE, weight_decay=1e-3, betas=(0.9, 0.99), fused=fused)
        self.step, self.seconds, self.curve = 0, 0.0, []
        if settings.resume:
            self._resume()
        else:
            batch = self.clips.batch(settings.clips, settings.frames)
            if not settings.start:
                self.network.encoder.calibrate(batch.pictures.flatten(0, 1)[:48])
            sheet(batch, settings.out / "sheet.jpg", 12)
            self.mean = copy.deepcopy(self.network).eval()

    @property
    def progress(self) -> float:
        return self.seconds / (60 * self.settings.minutes)

    def go(self) -> None:
        """Train until it is done or ``--stop-after`` minutes have passed."""
        begin, before, saved = time.monotonic(), self.seconds, time.monotonic()
        self.network.train()
        losses: list[Loss] = []
        while self.progress < 1 and time.monotonic() - begin < 60 * self.settings.stop_after:
            self._set_rates()
            losses.append(self._learn())
            self.seconds = before + time.monotonic() - begin
            if self.step % 100 == 0:
                self._report(losses)
                losses = []
            if time.monotonic() - saved > 120:
                self.save()
                saved = time.monotonic()
        self.save()
        self.clips.close()

    def _learn(self) -> Loss:
        long = self.progress > LONG
        settings = self.settings
        batch = self.clips.batch(
            settings.clips * 2 // 3 if long else settings.clips, settings.frames + 3 if long else settings.frames
        )
        result = judge(self.network, batch, self.progress)
        self.optimiser.zero_grad(set_to_none=True)
        result.total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.step += 1
        with torch.no_grad():
            share = 1 - min(DECAY, self.step / (self.step + 20))
            torch._foreach_lerp_(list(self.mean.parameters()), list(self.network.parameters()), share)
        return Loss(result.total.detach(), result.iou.detach())

    def _set_rates(self) -> None:
        progress = self.progress
        rate = (
            self.settings.rate
            * min(1.0, (progress + 1e-3) / WARM)
            * (0.5 + 0.5 * math.cos(math.pi * min(progress, 1.0)))
        )
        frozen = progress < FROZEN and not self.settings.start
        for parameter in self.backbone:
            parameter.requires_grad_(not frozen)
        thaw = 1.0 if self.settings.start else min(1.0, max(0.0, (progress - FROZEN) / 0.05))
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"] * (thaw if group["factor"] < 1 else 1)

    def _report(self, losses: list[Loss]) -> None:
        recent = [x for x in losses if len(x.iou) == len(losses[-1].iou)]
        row = {
            "step": self.step,
            "seconds": round(self.seconds, 1),
            "loss": round(float(torch.stack([x.total for x in recent]).mean()), 4),
            "iou": [round(v, 3) for v in torch.stack([x.iou for x in recent]).mean(0).tolist()],
        }
        if self.step % 1000 == 0:
            row["held_out"] = self.check()
        self.curve.append(row)
        print(json.dumps(row), flush=True)

    @torch.no_grad()
    def check(self) -> list[float]:
        """Mean IoU by frame, on clips made of assets that took no part."""
        with own_randomness(0):
            reseed(self.held_out, 0)
            clips = [self.held_out.batch(self.settings.clips * 2 // 3, self.settings.frames + 3) for _ in range(CHECK)]
            ious = [judge(self.mean, batch, 1.0).iou for batch in clips]
        return [round(v, 3) for v in torch.stack(ious).mean(0).tolist()]

    def save(self) -> None:
        """Write what a later call needs."""
        out = self.settings.out
        for buffer, current in zip(self.mean.buffers(), self.network.buffers(), strict=True):
            buffer.copy_(current)
        torch.save(self.mean.state_dict(), out / "network.pt")
        state = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "curve": self.curve,
        }
        torch.save(state, out / "state.tmp")
        (out / "state.tmp").replace(out / "state.pt")
        record = {k: str(v) if isinstance(v, Path) else v for k, v in vars(self.settings).items()}
        record |= {"commit": _commit(), "torch": torch.__version__, "steps": self.step, "curve": self.curve}
        (out / "record.json").write_text(json.dumps(record, indent=1))

    def _resume(self) -> None:
        out = self.settings.out
        state: dict[str, Any] = torch.load(out / "state.pt", map_location="cpu", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.mean = copy.deepcopy(self.network).eval()
        self.mean.load_state_dict(torch.load(out / "network.pt", map_location="cpu", weights_only=True))
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.curve = state["step"], state["seconds"], state["curve"]

    @torch.no_grad()
    def show(self) -> None:
        """A contact sheet of what comes out."""
        batch = self.held_out.batch(12, self.settings.frames + 3)
        with torch.autocast(self.device.type, torch.bfloat16):
            logits, _ = run(self.mean, batch)
        masks = functional.interpolate((logits > 0).float(), scale_factor=2)[:, :, None]
        answers = replace(batch, masks=torch.cat([batch.masks[:, :1], masks], 1))
        sheet(answers, self.settings.out / "answers.jpg", 12)


def reseed(clips: Clips, seed: int) -> None:
    """Begin a generator's random numbers anew."""
    clips.dice = Dice(seed)
    clips.noise.manual_seed(seed)


@contextmanager
def own_randomness(seed: int) -> Iterator[None]:
    """Leave the random numbers of the training alone."""
    state = torch.get_rng_state(), torch.cuda.get_rng_state_all()
    torch.manual_seed(seed)
    yield
    torch.set_rng_state(state[0])
    torch.cuda.set_rng_state_all(state[1])


def _start_of(path: Path) -> dict[str, Tensor]:
    if path.is_dir():
        from shipped import read_shipped

        return read_shipped(path)
    weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return weights


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assets", type=Path, help="the asset pack")
    parser.add_argument("out", type=Path, help="where the weights and the record go")
    parser.add_argument("--minutes", type=float, default=20.0, help="of training, over all calls")
    parser.add_argument("--stop-after", type=float, default=math.inf, help="minutes of this call")
    parser.add_argument("--resume", action="store_true", help="go on with what is in OUT")
    parser.add_argument("--start", type=Path, help="begin from a network.pt, or from a folder of exported files")
    parser.add_argument("--rate", type=float, default=RATE, help="learning rate at its highest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=24, help="of a batch")
    parser.add_argument("--frames", type=int, default=5, help="of a clip; later in the training three more")
    parser.add_argument("--size", type=int, default=384, help="of a frame")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    settings = parser.parse_args()
    settings.out.mkdir(parents=True, exist_ok=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    training = Training(settings)
    training.go()
    print("held out", training.check(), flush=True)
    training.show()


if __name__ == "__main__":
    main()
