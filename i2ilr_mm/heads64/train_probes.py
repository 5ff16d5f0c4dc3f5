"""How the probes that ship with the package were trained."""

import os

import torch
import torch.nn.functional as F
from mmengine.registry import init_default_scope
from torch import Tensor

from i2ilr.files import at_home, replacing

from ..datasets.pictures import resolve_root
from ..datasets.pools import ImagePool
from ..evaluation.report import table
from ..lr import down, up
from .probes import (
    ATTRIBUTES,
    BACKGROUNDS,
    LEARNED,
    PROBE_SIZE,
    HeadProbes,
    background_colour,
)
from .transfer import name_in_root, read_attributes

SHIFT = 4
"""Training heads are moved by up to this many pixels."""


def train_probes(
    data_root: str, epochs: int, out: str, batch_size: int = 32, lr_size: int | None = None
) -> str:
    """Train probes on the training heads of a root, write them, try them on its test heads.

    Heads are flipped (which turns left into right) and moved by some pixels. Every attribute's
    classes count the same, whatever their number.

    Args:
        data_root: Heads with their attributes.json.
        epochs: Passes over the training heads.
        out: File to write, in safetensors format; must not exist.
        batch_size: Heads per step.
        lr_size: Let the probes see heads shrunk to this side and enlarged again, to learn what an
            LR target shows; None lets them see heads as they are.

    Returns:
        A table of the accuracies on the test heads.

    Raises:
        FileExistsError: If the file exists.
        FileNotFoundError: If there is no such data root.
        ValueError: If the data has no attributes.json or too few heads.
    """
    from safetensors.torch import save_file

    out = at_home(out)
    if os.path.exists(out):
        raise FileExistsError(f"--out: '{out}' exists; give another name")
    images, truth = load_heads(data_root, 'train')
    if len(images) < batch_size:
        raise ValueError(
            f"'{data_root}' has {len(images)} training heads; at least {batch_size} are needed"
        )
    probes = _trained(images, truth, epochs, batch_size, lr_size)
    with replacing(out) as partial:
        save_file(probes.state_dict(), partial)
    return _accuracies(probes.eval(), *load_heads(data_root, 'test'), lr_size)


def _trained(
    images: Tensor, truth: list[dict], epochs: int, batch_size: int, lr_size: int | None
) -> HeadProbes:
    torch.manual_seed(0)
    probes = HeadProbes()
    probes.backgrounds.copy_(_centres(background_colour(images)))
    labels = probes.labels(truth, images)
    weights = {name: _balance(labels[name], name) for name in LEARNED}
    optimizer = torch.optim.AdamW(probes.parameters(), weight_decay=0.05)
    steps = epochs * (len(images) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(batch_size)[: steps // epochs]:
            batch, flipped = _augmented(images[rows])
            truths = {name: values[rows] for name, values in labels.items()}
            pose = truths['pose']
            truths['pose'] = torch.where(flipped & (pose >= 0), 1 - pose, pose)
            loss = _loss(probes(_seen(batch, lr_size)), truths, weights)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return probes


def load_heads(data_root: str, split: str) -> tuple[Tensor, list[dict]]:
    """The heads of a split, (n, 3, 64, 64) uint8, and the truth of each."""
    init_default_scope('mmagic')
    root = resolve_root(data_root)
    truth = read_attributes(root)
    loaded = [dict(type='LoadPicture'), dict(type='ResizePicture')]
    pool = ImagePool(data_root, split, loaded, img_size=PROBE_SIZE, lr_size=8)
    paths = pool.real_pictures()
    heads = [truth[name_in_root(path, root)] for path in paths]
    return torch.stack([pool.real_image(path) for path in paths]), heads


def _centres(colours: Tensor, rounds: int = 50) -> Tensor:
    """k-means of the backgrounds' colours."""
    centres = colours[torch.randperm(len(colours))[:BACKGROUNDS]]
    for _ in range(rounds):
        nearest = torch.cdist(colours, centres).argmin(1)
        members = [colours[nearest == i] for i in range(BACKGROUNDS)]
        centres = torch.stack([m.mean(0) if len(m) else c for m, c in zip(members, centres)])
    return centres


def _balance(labels: Tensor, name: str) -> Tensor:
    counts = torch.bincount(labels[labels >= 0], minlength=len(ATTRIBUTES[name].classes))
    weights = 1 / counts.clamp(min=1).float()
    return weights / weights.mean()


def _augmented(images: Tensor) -> tuple[Tensor, Tensor]:
    """Moved and flipped heads, and which were flipped."""
    padded = F.pad(images.float(), (SHIFT,) * 4, mode='replicate')
    size = images.shape[-1]
    moved = [
        image[:, top : top + size, left : left + size]
        for image, (top, left) in zip(padded, torch.randint(2 * SHIFT + 1, (len(images), 2)))
    ]
    batch, flipped = torch.stack(moved), torch.rand(len(images)) < 0.5
    return torch.where(flipped[:, None, None, None], batch.flip(-1), batch), flipped


def _seen(images: Tensor, lr_size: int | None) -> Tensor:
    """Heads (B, 3, 64, 64) in 0..255 as the probes see them."""
    return images if lr_size is None else up(down(images.float(), lr_size), PROBE_SIZE)


def _loss(logits: dict, labels: dict, weights: dict) -> Tensor:
    losses = [
        F.cross_entropy(logits[k], labels[k], weights[k], ignore_index=-1, label_smoothing=0.05)
        for k in LEARNED
        if (labels[k] >= 0).any()
    ]
    return torch.stack(losses).sum()


@torch.inference_mode()
def _accuracies(probes: HeadProbes, images: Tensor, truth: list[dict], lr_size: int | None) -> str:
    labels = probes.labels(truth, images)
    predictions = [probes.read(_seen(chunk, lr_size)) for chunk in images.split(100)]
    rows = [('attribute', 'right', 'heads', 'classes')]
    for name, attribute in ATTRIBUTES.items():
        applies = labels[name] >= 0
        read = torch.cat([each[name] for each in predictions])
        accuracy = (read == labels[name])[applies].float().mean()
        rows.append(
            (name, f'{accuracy:.3f}', str(int(applies.sum())), ', '.join(attribute.classes))
        )
    return table(rows)
