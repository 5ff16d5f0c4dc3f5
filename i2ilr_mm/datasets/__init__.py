"""Picture pools and transforms, in MMagic's DATASETS and TRANSFORMS registries."""

from .pairs import PairedPool
from .pictures import PictureError
from .pools import ImagePool
from .transforms import BindLuma, BindPart, DownscaleLR, LoadPicture, ResizePicture

__all__ = [
    'BindLuma',
    'BindPart',
    'DownscaleLR',
    'ImagePool',
    'LoadPicture',
    'PairedPool',
    'PictureError',
    'ResizePicture',
]
