"""Probes that read a rendered head's attributes off its picture, and what each should follow."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..weights import sha256

PROBE_SIZE = 64
WEIGHTS = str(files('i2ilr_mm') / 'assets' / 'heads64_probes.safetensors')

HAIR_COLOURS = {
    'dark': ('black', 'darkbrown'),
    'brown': ('brown', 'lightbrown'),
    'light': ('blond', 'platinum', 'white', 'grey'),
    'red': ('ginger',),
    'dyed': ('green', 'blue', 'pink'),
}


def _hair(truth: dict) -> int | None:
    groups = list(HAIR_COLOURS.values())
    bald = truth['style'] == 'bald'
    return None if bald else next(i for i, group in enumerate(groups) if truth['hair'] in group)


def _ends(low: float, high: float, name: str) -> Callable[[dict], int | None]:
    """0 below ``low``, 1 above ``high``; what lies between is left out."""

    def label(truth: dict) -> int | None:
        value = truth[name]
        return 0 if value < low else 1 if value > high else None

    return label


@dataclass(frozen=True)
class Attribute:
    """One thing that can be read off a head.

    Attributes:
        follows: 'target' for what the LR target shows, 'source' for what only the source has.
        classes: Names of its classes.
        label: Class of a head from the truth it was rendered from, None for neither.
    """

    follows: str
    classes: tuple[str, ...]
    label: Callable[[dict], int | None]


BACKGROUNDS = 4
ATTRIBUTES: dict[str, Attribute] = {
    'background': Attribute(
        'target', tuple(f'colour {i + 1}' for i in range(BACKGROUNDS)), lambda t: t['background']
    ),
    'skin': Attribute('target', ('dark', 'light'), _ends(2.2, 3.7, 'skin')),
    'hair': Attribute('target', tuple(HAIR_COLOURS), _hair),
    'pose': Attribute('target', ('left', 'right'), _ends(-8, 8, 'yaw')),
    'lipstick': Attribute('source', ('no', 'yes'), lambda t: int(t['lipstick'])),
    'beard': Attribute('source', ('no', 'yes'), lambda t: int(t['beard'])),
    'wrinkles': Attribute(
        'source', ('no', 'yes'), lambda t: dict(young=0, child=0, old=1).get(t['age'])
    ),
}


LEARNED = tuple(name for name in ATTRIBUTES if name != 'background')
"""What takes a network to read; the background's colour is measured, on results as on heads."""


def background_colour(images: Tensor) -> Tensor:
    """Mean colour of the two upper corners (an eighth of the side), (B, 3) in 0..1.

    Args:
        images: (B, 3, H, W) uint8.
    """
    side = max(1, images.shape[-1] // 8)
    corners = torch.cat([images[..., :side, :side], images[..., :side, -side:]], dim=-1)
    return corners.float().mean(dim=(2, 3)) / 255


class HeadProbes(nn.Module):
    """A small convolutional network with one linear probe per attribute.

    Attributes:
        backgrounds: (BACKGROUNDS, 3) colours in 0..1; a head's background is the nearest of them.
    """

    backgrounds: Tensor
    name = 'heads64 probes'

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for width in widths:
            for stride in (1, 2):
                layers += [
                    nn.Conv2d(channels, width, 3, stride, 1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
        self.trunk = nn.Sequential(*layers)
        side = PROBE_SIZE // 2 ** len(widths)
        self.squeeze = nn.Conv2d(channels, 24, 1)
        features = channels + 24 * side**2
        self.heads = nn.ModuleDict(
            {n: nn.Linear(features, len(a.classes)) for n, a in ATTRIBUTES.items() if n in LEARNED}
        )
        self.register_buffer('backgrounds', torch.zeros(BACKGROUNDS, 3))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits (B, classes) of every learned attribute, of uint8 pictures (B, 3, H, W)."""
        x = images.float()
        if x.shape[-2:] != (PROBE_SIZE, PROBE_SIZE):
            x = F.interpolate(x, (PROBE_SIZE, PROBE_SIZE), mode='bilinear', antialias=True)
        x = self.trunk(x / 127.5 - 1)
        x = torch.cat([x.mean(dim=(2, 3)), self.squeeze(x).flatten(1)], dim=1)
        return {name: head(x) for name, head in self.heads.items()}

    def background(self, images: Tensor) -> Tensor:
        """Number of the nearest background colour, (B,)."""
        return torch.cdist(background_colour(images), self.backgrounds).argmin(1)

    def read(self, images: Tensor) -> dict[str, Tensor]:
        """Class (B,) of every attribute, read off uint8 RGB pictures (B, 3, H, W)."""
        classes = {name: logits.argmax(1) for name, logits in self(images).items()}
        return dict(classes, background=self.background(images))

    def labels(self, truth: list[dict], images: Tensor) -> dict[str, Tensor]:
        """Classes (B,) of heads by the truth they were rendered from; -1 for neither.

        Args:
            truth: Their entries of attributes.json.
            images: The heads, (B, 3, H, W) uint8; the background's colour is measured.
        """
        nearest = self.background(images.to(self.backgrounds.device)).tolist()
        rows = [dict(t, background=b) for t, b in zip(truth, nearest)]
        classes = {name: [a.label(row) for row in rows] for name, a in ATTRIBUTES.items()}
        return {
            name: torch.tensor([-1 if value is None else value for value in values])
            for name, values in classes.items()
        }


def load_probes() -> tuple[HeadProbes, str]:
    """The probes that ship with the package and the hash of their weights."""
    from safetensors.torch import load_file

    probes = HeadProbes()
    probes.load_state_dict(load_file(WEIGHTS))
    return probes.eval().requires_grad_(False), sha256(WEIGHTS)[:16]
