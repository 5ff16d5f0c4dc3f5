"""Picture pools and transforms, in MMagic's DATASETS and TRANSFORMS registries."""

from .pairs import PairedPool
from .pictures import PictureError
from .pools import ImagePool
from .transforms import DownscaleLR, LoadLR, LoadPicture, ResizePicture

__all__ = [
    'DownscaleLR',
    'ImagePool',
    'LoadLR',
    'LoadPicture',
    'PairedPool',
    'PictureError',
    'ResizePicture',
]
