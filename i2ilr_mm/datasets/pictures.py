"""Finding and decoding pictures, in folders and in zips.

A picture is named by one string: a file's path, or ``archive.zip::member`` for one in a zip. So
names can be printed, stored and given to worker processes, which open archives themselves.
"""

import io
import lzma
import os
import struct
import zipfile
import zlib
from contextlib import nullcontext
from functools import lru_cache
from importlib.resources import files

import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

EXTENSIONS = (
    *('.avif', '.bmp', '.gif', '.jfif', '.jpeg', '.jpg'),
    *('.png', '.tif', '.tiff', '.webp'),
)
Image.init()
FORMATS: list[str] = [
    f for f in ('AVIF', 'BMP', 'GIF', 'JPEG', 'PNG', 'TIFF', 'WEBP') if f in Image.OPEN
]
"""What is decoded; Pillow knows more, some of which runs other programs."""
EMBEDDED = 'embedded:'
"""Prefix of the picture sets that ship with the package, as in 'embedded:heads64'."""


class PictureError(ValueError):
    """A picture that cannot be used; the message names it and says why."""


def resolve_root(root: str) -> str:
    """Turn a data root into a folder or zip that exists.

    Args:
        root: A folder, a zip file, or 'embedded:heads64'.

    Raises:
        FileNotFoundError: If there is no such folder or zip.
    """
    if root.startswith(EMBEDDED):
        name = root.removeprefix(EMBEDDED)
        path = str(files('i2ilr_mm') / 'assets' / f'{name}.zip')
        if not os.path.isfile(path):
            raise FileNotFoundError(f"no picture set '{name}' is embedded; there is 'heads64'")
        return path
    path = os.path.expanduser(root)
    if os.path.isdir(path) or zipfile.is_zipfile(path):
        return path
    kind = 'is no zip file' if os.path.isfile(path) else 'does not exist'
    raise FileNotFoundError(
        f"data_root '{root}' {kind}; give a folder of pictures or a zip of one, for example "
        f'--cfg-options data_root=path/to/pictures'
    )


def list_pictures(root: str) -> list[str]:
    """All pictures below a resolved root, as sorted paths relative to it, with '/'.

    Hidden files and folders are passed over.
    """
    if os.path.isdir(root):
        found = [
            os.path.relpath(os.path.join(folder, name), root).replace(os.sep, '/')
            for folder, _, names in os.walk(root, followlinks=True)
            for name in names
        ]
    else:
        with zipfile.ZipFile(root) as archive:
            found = [info.filename for info in archive.infolist() if not info.is_dir()]
    return sorted(
        name
        for name in found
        if name.lower().endswith(EXTENSIONS)
        # '' is what an absolute name begins with; in a zip that would lead out of any folder.
        and not any(part.startswith(('.', '__MACOSX')) or not part for part in name.split('/'))
    )


def picture_path(root: str, name: str) -> str:
    """The string that names picture ``name`` of a resolved root."""
    return os.path.join(root, name) if os.path.isdir(root) else f'{root}::{name}'


@lru_cache(maxsize=8)
def _archive(path: str, process: int) -> zipfile.ZipFile:
    # A forked worker must not share its parent's file position, hence one handle per process.
    return zipfile.ZipFile(path)


# Of files and zips; encrypted members and unknown compressions are RuntimeErrors.
UNREADABLE = (
    *(OSError, EOFError, KeyError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
# What Pillow's decoders raise for damaged pictures.
UNDECODABLE = (
    *(OSError, EOFError, SyntaxError, ValueError, RuntimeError, TypeError, LookupError),
    *(ArithmeticError, struct.error, zlib.error, Image.DecompressionBombError),
)


def read_bytes(path: str) -> bytes:
    """Read a picture file, or a zip's member named 'archive.zip::member'.

    Raises:
        PictureError: If it is missing, empty or damaged in the archive.
    """
    archive, separator, member = path.partition('::')
    try:
        if separator:
            data = _archive(archive, os.getpid()).read(member)
        else:
            with open(path, 'rb') as file:
                data = file.read()
    except UNREADABLE as error:
        raise PictureError(f"'{path}' cannot be read: {error}") from error
    if not data:
        raise PictureError(f"'{path}' is empty (0 bytes): delete it or fetch it again")
    return data


def read_picture(path: str) -> np.ndarray:
    """Decode a picture to RGB, whatever it is stored as.

    Of an animation the first frame is read; for the rest see :func:`to_rgb`.

    Args:
        path: A file, or 'archive.zip::member'.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        PictureError: If the file is missing, empty, truncated or no picture.
    """
    try:
        with Image.open(io.BytesIO(read_bytes(path)), formats=FORMATS) as image:
            return np.array(to_rgb(image))
    except UnidentifiedImageError as error:
        raise PictureError(f"'{path}' is no picture that Pillow can read") from error
    except PictureError:
        raise
    except UNDECODABLE as error:
        raise PictureError(f"'{path}' cannot be decoded: {error}") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """An upright 8-bit sRGB picture of any picture.

    Greyscale, palette, CMYK and 16-bit pictures are converted, a colour profile other than sRGB is
    applied, transparency is laid over white, and the EXIF orientation is applied.

    Raises:
        OSError: If the pixels cannot be decoded.
        ValueError: If they are neither 8-bit nor 16-bit integers.
    """
    upright = ImageOps.exif_transpose(image)
    upright.format = image.format  # which the transposition forgets
    return _to_rgb(_in_srgb(upright))


def _in_srgb(image: Image.Image) -> Image.Image:
    """The same colours in sRGB; a profile that is damaged or of another kind is passed over."""
    profile = image.info.get('icc_profile')
    image.load()  # what is wrong with the pixels is not taken for the profile's fault
    if not profile or image.mode in ('F', 'I'):
        return image
    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(own).startswith('sRGB'):
            return image
        if image.mode in ('P', 'PA', 'LA') or 'transparency' in image.info:
            image = image.convert('RGBA')
        mode = 'RGBA' if image.mode == 'RGBA' else 'RGB'
        srgb = ImageCms.createProfile('sRGB')
        return ImageCms.profileToProfile(image, own, srgb, outputMode=mode) or image
    except (ImageCms.PyCMSError, OSError):
        return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith('I') or image.mode == 'F':
        return _from_deep(image).convert('RGB')
    if image.mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La') or 'transparency' in image.info:
        image = image.convert('RGBA')
        white = Image.new('RGBA', image.size, 'white')
        return Image.alpha_composite(white, image).convert('RGB')
    return image.convert('RGB')


def _from_deep(image: Image.Image) -> Image.Image:
    """16-bit greyscale to 8 bits; Pillow's own conversion would clip instead of scale."""
    values = np.asarray(image, dtype=np.float64)
    sixteen_bit = image.mode.startswith('I;16') or (image.mode == 'I' and image.format == 'PNG')
    if not sixteen_bit or values.min() < 0 or values.max() > 65535:
        raise ValueError(f"its pixels ('{image.mode}') are neither 8-bit nor 16-bit integers")
    return Image.fromarray((values / 257).round().astype(np.uint8))


def picture_size(path: str) -> tuple[int, int]:
    """Width and height from the file's header, without decoding the pixels.

    Raises:
        PictureError: If the file is missing, empty or no picture.
    """
    try:
        archive, separator, member = path.partition('::')
        # A member's header is read without unpacking the rest of it.
        opened = _archive(archive, os.getpid()).open(member) if separator else nullcontext(path)
        with opened as file, Image.open(file, formats=FORMATS) as image:
            return image.size
    except UnidentifiedImageError as error:
        read_bytes(path)  # an empty file says so
        raise PictureError(f"'{path}' is no picture that Pillow can read") from error
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise PictureError(f"'{path}' cannot be read: {error}") from error
