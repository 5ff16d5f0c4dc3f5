"""Pictures in many formats, depths and layouts, with the values that they must be read as.

Files are written by tifffile, OpenCV or by hand, never by Pillow, which reads them; the expected
values come from formulas, or from OpenCV where a codec loses.
"""

import io
import itertools
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import tifffile

H, W = 24, 20  # sides that no block size divides


@dataclass
class Case:
    """A file and what it shows.

    Attributes:
        name: Of the case.
        data: The file.
        expected: (H, W, 3), 0 to 255.
        tolerance: Levels.
    """

    name: str
    data: bytes
    expected: np.ndarray
    tolerance: float = 1.0


def smooth(channels: int, seed: int = 0) -> np.ndarray:
    """A smooth picture (H, W, channels) in [0, 1] that uses the whole range."""
    rows, columns = np.mgrid[0:H, 0:W]
    parts = [
        0.5 + 0.5 * np.sin(0.21 * rows * (1 + 0.3 * c) + 0.17 * columns + c + seed)
        for c in range(channels)
    ]
    return np.stack(parts, axis=-1)


def quantised(values: np.ndarray, bits: int) -> np.ndarray:
    return (values * (2**bits - 1)).round().astype(np.uint16 if bits > 8 else np.uint8)


def grey(values: np.ndarray) -> np.ndarray:
    """(H, W) in [0, 1] as (H, W, 3) levels."""
    return np.repeat(values[..., None], 3, axis=2) * 255


def over_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return colour * alpha[..., None] + 255 * (1 - alpha[..., None])


# PNG, written by hand


def chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack('>I', zlib.crc32(kind + data))
    return struct.pack('>I', len(data)) + kind + data + check


def png(samples: np.ndarray, bits: int, colour_type: int, *extra: bytes) -> bytes:
    """samples: (H, W, channels) integers."""
    height, width, channels = samples.shape
    rows = []
    for row in samples.reshape(height, width * channels):
        if bits == 16:
            packed = row.astype('>u2').tobytes()
        elif bits == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            lines = ((row[:, None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(-1)
            packed = np.packbits(lines.astype(np.uint8)).tobytes()
        rows.append(b'\0' + packed)
    head = struct.pack('>IIBBBBB', width, height, bits, colour_type, 0, 0, 0)
    return b''.join(
        [
            b'\x89PNG\r\n\x1a\n',
            chunk(b'IHDR', head),
            *extra,
            chunk(b'IDAT', zlib.compress(b''.join(rows))),
            chunk(b'IEND', b''),
        ]
    )


def pngs() -> Iterator[Case]:
    for bits in (1, 2, 4, 8, 16):
        full = 2**bits - 1
        value = quantised(smooth(1), bits)
        shown = grey(value[..., 0] / full)
        yield Case(f'png-grey{bits}', png(value, bits, 0), shown)
        clear = int(value[3, 4, 0])
        seen = (value[..., 0] != clear).astype(float)
        trns = chunk(b'tRNS', struct.pack('>H', clear))
        yield Case(f'png-grey{bits}-clear', png(value, bits, 0, trns), over_white(shown, seen))
        if bits <= 8:
            palette = (smooth(3, 5).reshape(-1, 3)[: full + 1] * 255).round().astype(np.uint8)
            plte = chunk(b'PLTE', palette.tobytes())
            # fewer colours than the depth allows, as real files have them
            index = value.astype(int) % len(palette)
            shown = palette[index[..., 0]].astype(float)
            yield Case(f'png-palette{bits}', png(index, bits, 3, plte), shown)
            alphas = np.linspace(0, 255, len(palette)).round().astype(np.uint8)
            trns = chunk(b'tRNS', alphas.tobytes())
            share = alphas[index[..., 0]] / 255
            yield Case(
                f'png-palette{bits}-alpha',
                png(index, bits, 3, plte, trns),
                over_white(shown, share),
            )
        if bits < 8:
            continue
        for kind, channels in ((2, 3), (4, 2), (6, 4)):
            value = quantised(smooth(channels), bits)
            share = value / full
            shown = share[..., :3] * 255 if kind != 4 else grey(share[..., 0])
            if kind != 2:
                shown = over_white(shown, share[..., -1])
            # Pillow cuts 16 bits of several channels down to 8, which costs each up to a level.
            loss = 2 if bits == 16 else 1
            yield Case(f'png-type{kind}-{bits}', png(value, bits, kind), shown, loss)
        if bits == 16:  # refused, see test_decode.py
            continue
        value = quantised(smooth(3), bits)
        clear = value[5, 6]
        trns = chunk(b'tRNS', struct.pack('>HHH', *(int(v) for v in clear)))
        seen = (value != clear).any(axis=2).astype(float)
        shown = over_white(value / full * 255, seen)
        yield Case(f'png-type2-{bits}-clear', png(value, bits, 2, trns), shown)
    yield from png_metadata()


def png_metadata() -> Iterator[Case]:
    """Metadata, sound and damaged, that say nothing about the pixels."""
    value = quantised(smooth(3), 8)
    shown = value.astype(float)
    long = b'A' * 2_000_000
    broken = bytearray(chunk(b'tEXt', b'Comment\0hello'))
    broken[-1] ^= 1
    extras = {
        'text': chunk(b'tEXt', b'Comment\0hello'),
        'long-ztxt': chunk(b'zTXt', b'Comment\0\0' + zlib.compress(long)),
        'long-itxt': chunk(b'iTXt', b'Comment\0\1\0\0\0' + zlib.compress(long)),
        'no-keyword': chunk(b'tEXt', b''),
        'broken-check': bytes(broken),
        'broken-ztxt': chunk(b'zTXt', b'Comment\0\0not zlib'),
        'method-ztxt': chunk(b'zTXt', b'Comment\0\7abc'),
        'big-profile': chunk(b'iCCP', b'profile\0\0' + zlib.compress(long)),
        'empty-profile': chunk(b'iCCP', b''),
        'broken-profile': chunk(b'iCCP', b'profile\0\0not zlib'),
        'short-phys': chunk(b'pHYs', b'\0'),
        'short-gama': chunk(b'gAMA', b'\0'),
        'short-chrm': chunk(b'cHRM', b'\0'),
        'short-srgb': chunk(b'sRGB', b''),
        'broken-exif': chunk(b'eXIf', b'MM\0*\0\0'),
        'empty-exif': chunk(b'eXIf', b''),
        'short-actl': chunk(b'acTL', b'\0'),
        'private': chunk(b'prVt', b'anything'),
    }
    whole = png(value, 8, 2)
    for name, extra in extras.items():
        yield Case(f'png-with-{name}', png(value, 8, 2, extra), shown)
        if name not in ('short-actl',):  # which has no place there
            yield Case(f'png-then-{name}', whole[:-12] + extra + whole[-12:], shown)


# TIFF, by tifffile


def tiff(samples: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, metadata=None, **options)
    return buffer.getvalue()


COMPRESSIONS = (None, 'lzw', 'zlib', 'packbits')


def tiffs() -> Iterator[Case]:
    for bits, order, compression in itertools.product((8, 16), '<>', COMPRESSIONS):
        full = 2**bits - 1
        how = dict(byteorder=order, compression=compression)
        name = f'tiff{bits}{"LB"[order == ">"]}-{compression or "raw"}'
        value = quantised(smooth(1), bits)[..., 0]
        yield Case(f'{name}-grey', tiff(value, photometric='minisblack', **how), grey(value / full))
        yield Case(
            f'{name}-white-is-zero',
            tiff(value, photometric='miniswhite', **how),
            grey(1 - value / full),
        )
        for planar, predictor in itertools.product(('contig', 'separate'), (None, 2)):
            if predictor and compression not in ('lzw', 'zlib'):
                continue
            for channels in (3, 4):
                value = quantised(smooth(channels), bits)
                shown = value[..., :3] / full * 255
                options: dict = dict(photometric='rgb', planarconfig=planar, predictor=predictor)
                if channels == 4:
                    options['extrasamples'] = ['unassalpha']
                    shown = over_white(shown, value[..., 3] / full)
                stored = value if planar == 'contig' else np.moveaxis(value, -1, 0)
                yield Case(
                    f'{name}-rgb{channels}-{planar}-{predictor or 1}',
                    tiff(np.ascontiguousarray(stored), **options, **how),
                    shown,
                    2 if bits == 16 else 1,
                )
    for bits in (8, 16):
        full = 2**bits - 1
        value = quantised(smooth(4), bits)
        value[..., :3] = (value[..., :3] * (value[..., 3:] / full)).round()  # times alpha
        shown = value[..., :3] / full * 255 + 255 * (1 - value[..., 3:] / full)
        data = tiff(value, photometric='rgb', extrasamples=['assocalpha'])
        # cut to 8 bits, then divided by alpha
        yield Case(f'tiff{bits}-associated-alpha', data, shown, 3)
        value = quantised(smooth(4), bits)
        share = value / full
        shown = (1 - share[..., :3]) * (1 - share[..., 3:]) * 255
        yield Case(f'tiff{bits}-cmyk', tiff(value, photometric='separated'), shown, 2)
        for rows in (1, 7, H):
            value = quantised(smooth(3), bits)
            data = tiff(value, photometric='rgb', rowsperstrip=rows)
            yield Case(f'tiff{bits}-strips{rows}', data, value / full * 255)
        value = quantised(smooth(3), bits)
        data = tiff(value, photometric='rgb', tile=(16, 16), compression='zlib')
        yield Case(f'tiff{bits}-tiles', data, value / full * 255)
        data = tiff(value, photometric='rgb', bigtiff=True)
        yield Case(f'tiff{bits}-big', data, value / full * 255)
        first = tiff(np.stack([value, value[::-1]]), photometric='rgb')
        yield Case(f'tiff{bits}-pages', first, value / full * 255)
    value = quantised(smooth(1), 8)[..., 0]
    palette = quantised(smooth(3, 7).reshape(-1, 3)[:256], 16)
    data = tiff(value, photometric='palette', colormap=palette.T)
    yield Case('tiff8-palette', data, palette[value] / 257.0)
    for threshold, kind in ((0.5, 'minisblack'), (0.5, 'miniswhite')):
        value = smooth(1)[..., 0] > threshold
        lit = value if kind == 'minisblack' else ~value
        yield Case(f'tiff1-{kind}', tiff(value, photometric=kind), grey(lit.astype(float)))
    yield from deep_tiffs()


def tiff_by_hand(
    samples: np.ndarray, bits: int, photometric: int, order: str = '<', more: dict | None = None
) -> bytes:
    """One strip of (H, W, channels) integers, packed as TIFF 6.0 says; ``more`` are short tags."""
    lines = ((samples.astype(np.int64)[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(
        H, -1
    )
    packed = np.packbits(lines.astype(np.uint8), axis=1).tobytes()
    channels = samples.shape[2]
    short = {258: [bits] * channels, 259: [1], 262: [photometric], 277: [channels], 284: [1]}
    short |= {tag: [value] for tag, value in (more or {}).items()}
    long = {256: [W], 257: [H], 273: [8], 278: [H], 279: [len(packed)]}
    packed += b'\0' * (len(packed) % 2)
    after = 8 + len(packed) + 2 + 12 * (len(short) + len(long)) + 4
    entries, outside = b'', b''
    for tag, values in sorted({**short, **long}.items()):
        data = struct.pack(f'{order}{len(values)}{"HI"[tag in long]}', *values)
        if len(data) > 4:
            data, outside = struct.pack(f'{order}I', after + len(outside)), outside + data
        entries += struct.pack(f'{order}HHI', tag, 3 + (tag in long), len(values))
        entries += data.ljust(4, b'\0')
    head = (b'II*\0' if order == '<' else b'MM\0*') + struct.pack(f'{order}I', 8 + len(packed))
    count = struct.pack(f'{order}H', len(short) + len(long))
    return head + packed + count + entries + b'\0' * 4 + outside


def deep_tiffs() -> Iterator[Case]:
    for bits, order in itertools.product((2, 4, 10, 12, 14), '<>'):
        full, end = 2**bits - 1, 'LB'[order == '>']
        value = quantised(smooth(1), bits)
        for white in (0, 1):
            share = value[..., 0] / full if white else 1 - value[..., 0] / full
            name = f'tiff{bits}-{"black" if white else "white"}-is-zero-{end}'
            yield Case(name, tiff_by_hand(value, bits, white, order), grey(share))
        if bits < 10:
            continue
        value = quantised(smooth(4), bits)
        share = value / full
        data = tiff_by_hand(value[..., :3], bits, 2, order)
        yield Case(f'tiff{bits}-rgb-{end}', data, share[..., :3] * 255)
        data = tiff_by_hand(value, bits, 2, order, {338: 2})
        shown = over_white(share[..., :3] * 255, share[..., 3])
        yield Case(f'tiff{bits}-rgba-{end}', data, shown, 2)
    for channels, orientation in itertools.product((1, 3), (3, 6)):
        value = quantised(smooth(channels), 12)
        data = tiff_by_hand(value, 12, 2 if channels == 3 else 1, '<', {274: orientation})
        shown = np.broadcast_to(value / 4095 * 255, (H, W, 3))
        yield Case(f'tiff12-{channels}-turned{orientation}', data, turned(shown, orientation))


# BMP, by hand


def bmps() -> Iterator[Case]:
    value = quantised(smooth(3), 8)
    shown = value.astype(float)

    def bmp(rows: list[bytes], bits: int, height: int, palette=b'', extra=b'', method=0) -> bytes:
        body = b''.join(row + b'\0' * (-len(row) % 4) for row in rows)
        info = struct.pack('<IiiHHIIiiII', 40 + len(extra), W, height, 1, bits, method, *[0] * 5)
        offset = 14 + len(info) + len(extra) + len(palette)
        head = b'BM' + struct.pack('<IHHI', offset + len(body), 0, 0, offset)
        return head + info + extra + palette + body

    bgr = value[..., ::-1]
    for height, rows in ((H, bgr[::-1]), (-H, bgr)):
        way = 'up' if height > 0 else 'down'
        yield Case(f'bmp24-{way}', bmp([r.tobytes() for r in rows], 24, height), shown)
        for last in (0, 255, 90):  # what nobody looks at
            four = np.dstack([rows, np.full((H, W), last, np.uint8)])
            data = bmp([r.tobytes() for r in four], 32, height)
            yield Case(f'bmp32-{way}-{last}', data, shown)
    masks = struct.pack('<IIII', 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    v4 = masks + b'BGRs' + b'\0' * 48
    for name, alpha in (
        ('empty', np.zeros((H, W))),
        ('full', np.ones((H, W))),
        ('smooth', smooth(1, 3)[..., 0]),
    ):
        last = (alpha * 255).round().astype(np.uint8)
        four = np.dstack([bgr, last])[::-1]
        data = bmp([r.tobytes() for r in four], 32, H, extra=v4, method=3)
        share = last / 255 if name != 'empty' else np.ones((H, W))
        yield Case(f'bmp32-v4-alpha-{name}', data, over_white(shown, share))
    five = (value >> 3).astype('<u2')
    packed = (five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]).astype('<u2')
    data = bmp([r.tobytes() for r in packed[::-1]], 16, H)
    yield Case('bmp16', data, five / 31 * 255, 1.5)
    for bits in (1, 4, 8):
        index = quantised(smooth(1), bits)[..., 0]
        palette = (smooth(3, 2).reshape(-1, 3)[: 2**bits] * 255).round().astype(np.uint8)
        stored = np.zeros((2**bits, 4), np.uint8)
        stored[: len(palette), :3] = palette[:, ::-1]
        index = index.astype(int) % len(palette)
        lines = ((index[..., None] >> np.arange(bits - 1, -1, -1)) & 1).reshape(H, -1)
        packed = np.packbits(lines.astype(np.uint8), axis=1)
        data = bmp([r.tobytes() for r in packed[::-1]], bits, H, palette=stored.tobytes())
        yield Case(f'bmp{bits}', data, palette[index].astype(float))


# Formats whose codec loses, by OpenCV


def lossy() -> Iterator[Case]:
    value = quantised(smooth(3), 8)
    bgr = np.ascontiguousarray(value[..., ::-1])

    def by_cv2(extension: str, image: np.ndarray, *options: int) -> bytes:
        done, data = cv2.imencode(extension, image, list(options))
        assert done
        return data.tobytes()

    def decoded(data: bytes) -> np.ndarray:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1].astype(
            float
        )

    samplings = {444: 0x111111, 422: 0x211111, 420: 0x221111, 411: 0x411111, 440: 0x121111}
    for quality, (sampling, code), progressive in itertools.product(
        (60, 95), samplings.items(), (0, 1)
    ):
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, progressive]
        data = by_cv2('.jpg', bgr, *options, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, code)
        # Both enlarge the chroma by libjpeg's own rules, which differ between its releases.
        name = f'jpeg-{quality}-{sampling}-{"progressive" if progressive else "baseline"}'
        yield Case(name, data, decoded(data), 2 if sampling == 444 else 6)
        grey_data = by_cv2('.jpg', bgr[..., 0], *options)
        yield Case(f'{name}-grey', grey_data, decoded(grey_data), 2)
    jpeg = by_cv2('.jpg', bgr, cv2.IMWRITE_JPEG_QUALITY, 95)
    for orientation, order, damage in itertools.product(range(1, 9), '<>', (False, True)):
        data = jpeg[:2] + app1(orientation, order, damage) + jpeg[2:]
        name = f'jpeg-orientation{orientation}-{order}{"-damaged" if damage else ""}'
        yield Case(
            name.replace('<', 'L').replace('>', 'B'), data, turned(decoded(jpeg), orientation), 6
        )
    for name, segment in {
        'comment': b'\xff\xfe\0\6text',
        'broken-exif': b'\xff\xe1\0\x0eExif\0\0MM\0*\xff\xff',
        'text-exif': b'\xff\xe1\0\x10Exif\0\0any text',
        'broken-icc': b'\xff\xe2\0\x12ICC_PROFILE\0\3\7ab',
        'broken-mpf': b'\xff\xe2\0\x10MPF\0II*\0\xff\xff\xff\xff\0\0',
        'photoshop': b'\xff\xed\0\x16Photoshop 3.0\x008BI\xff\xff\xff',
        'xmp': b'\xff\xe1\0\x24http://ns.adobe.com/xap/1.0/\0<x:x',
    }.items():
        yield Case(f'jpeg-{name}', jpeg[:2] + segment + jpeg[2:], decoded(jpeg), 6)
    lossless = by_cv2('.webp', bgr, cv2.IMWRITE_WEBP_QUALITY, 101)
    yield Case('webp-lossless', lossless, value.astype(float), 0)
    alpha = quantised(smooth(1, 3), 8)
    data = by_cv2('.webp', np.dstack([bgr, alpha]), cv2.IMWRITE_WEBP_QUALITY, 101)
    yield Case('webp-alpha', data, over_white(value.astype(float), alpha[..., 0] / 255))
    for quality in (50, 90):
        data = by_cv2('.webp', bgr, cv2.IMWRITE_WEBP_QUALITY, quality)
        yield Case(f'webp-{quality}', data, decoded(data), 6)


def app1(orientation: int, order: str, damage: bool) -> bytes:
    """An EXIF segment; its damage is a resolution and a GPS entry of the wrong kinds."""
    entries = [struct.pack(order + 'HHIHH', 0x0112, 3, 1, orientation, 0)]
    if damage:
        entries.append(struct.pack(order + 'HHIi', 0x011A, 9, 1, -72))  # a signed number
        entries.append(struct.pack(order + 'HHI4s', 0x8825, 2, 4, b'gps\0'))  # a text
        entries.append(struct.pack(order + 'HHII', 0x8769, 4, 1, 0xFFFFFF))  # leads nowhere
    mark = b'II*\0' if order == '<' else b'MM\0*'
    body = mark + struct.pack(order + 'IH', 8, len(entries)) + b''.join(entries) + b'\0' * 4
    payload = b'Exif\0\0' + body
    return b'\xff\xe1' + struct.pack('>H', len(payload) + 2) + payload


def turned(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Upright, after the EXIF standard: which sides of the picture row 0 and column 0 are."""
    if orientation >= 5:
        picture = picture.swapaxes(0, 1)
    down, right = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}.get(
        orientation, (1, 1)
    )
    return picture[::down, ::right]


# Colour profiles, by hand


def profile(gamma: float, name: str, space: bytes = b'RGB ', swap: bool = False) -> bytes:
    """An ICC profile (v2) of sRGB's primaries with a power as its curve."""

    def fixed(*values: float) -> bytes:
        return struct.pack('>' + 'i' * len(values), *(round(v * 65536) for v in values))

    curve = b'curv\0\0\0\0' + struct.pack('>IH', 1, round(gamma * 256)) + b'\0\0'
    text = name.encode() + b'\0'
    description = b'desc\0\0\0\0' + struct.pack('>I', len(text)) + text + b'\0' * 78
    tags = {
        b'desc': description + b'\0' * (-len(description) % 4),
        b'cprt': b'text\0\0\0\0CC0\0',
        b'wtpt': b'XYZ \0\0\0\0' + fixed(0.9642, 1.0, 0.8249),
    }
    if space == b'RGB ':
        primaries = {  # of sRGB, adapted to D50 (IEC 61966-2-1)
            b'rXYZ': (0.4361, 0.2225, 0.0139),
            b'gXYZ': (0.3851, 0.7169, 0.0971),
            b'bXYZ': (0.1431, 0.0606, 0.7141),
        }
        if swap:
            primaries[b'rXYZ'], primaries[b'gXYZ'] = primaries[b'gXYZ'], primaries[b'rXYZ']
        tags |= {k: b'XYZ \0\0\0\0' + fixed(*v) for k, v in primaries.items()}
        tags |= dict.fromkeys((b'rTRC', b'gTRC', b'bTRC'), curve)
    else:
        tags[b'kTRC'] = curve
    at, table, body = 128 + 4 + 12 * len(tags), b'', b''
    for key, value in tags.items():
        table += key + struct.pack('>II', at + len(body), len(value))
        body += value
    size = at + len(body)
    head = struct.pack('>I4sI4s4s4s', size, b'lcms', 0x02100000, b'mntr', space, b'XYZ ')
    head += b'\0' * 12 + b'acsp' + b'\0' * 28 + fixed(0.9642, 1.0, 0.8249)
    return head + b'\0' * (128 - len(head)) + struct.pack('>I', len(tags)) + table + body


def encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB levels of linear light (IEC 61966-2-1)."""
    low = linear <= 0.0031308
    return 255 * np.where(
        low, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055
    )


def with_profiles() -> Iterator[Case]:
    value = quantised(smooth(3), 8)
    one = quantised(smooth(1), 8)
    alpha = quantised(smooth(1, 3), 8)
    for gamma, name, swap in itertools.product(
        (1.0, 1.8, 2.6), ('sRGB IEC61966-2.1', 'a camera'), (False, True)
    ):
        icc = profile(gamma, name, swap=swap)
        shown = encoded((value / 255) ** gamma)
        shown = shown[..., [1, 0, 2]] if swap else shown
        which = f'{gamma}-{name.split()[0]}{"-swapped" if swap else ""}'
        iccp = chunk(b'iCCP', b'icc\0\0' + zlib.compress(icc))
        yield Case(f'icc-png-{which}', png(value, 8, 2, iccp), shown, 2)
        four = np.dstack([value, alpha])
        layered = over_white(shown, alpha[..., 0] / 255)
        yield Case(f'icc-png-alpha-{which}', png(four, 8, 6, iccp), layered, 2)
        data = tiff(value, photometric='rgb', iccprofile=icc)
        yield Case(f'icc-tiff-{which}', data, shown, 2)
        if swap:
            continue
        flat = np.full((H, W, 3), (180, 90, 40), np.uint8)  # that JPEG keeps
        _, jpeg = cv2.imencode('.jpg', flat[..., ::-1].copy(), [cv2.IMWRITE_JPEG_QUALITY, 100])
        kept = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1] / 255
        segment = b'ICC_PROFILE\0\1\1' + icc
        app2 = b'\xff\xe2' + struct.pack('>H', len(segment) + 2) + segment
        data = jpeg.tobytes()[:2] + app2 + jpeg.tobytes()[2:]
        yield Case(f'icc-jpeg-{which}', data, encoded(kept**gamma), 2)
        grey_icc = profile(gamma, name, b'GRAY')
        iccp = chunk(b'iCCP', b'icc\0\0' + zlib.compress(grey_icc))
        shown = encoded((grey(one[..., 0] / 255) / 255) ** gamma)
        yield Case(f'icc-grey-{which}', png(one, 8, 0, iccp), shown, 2)
        layered = over_white(shown, alpha[..., 0] / 255)
        data = png(np.dstack([one, alpha]), 8, 4, iccp)
        yield Case(f'icc-grey-alpha-{which}', data, layered, 2)
        deep = quantised(smooth(1), 16)
        shown = encoded((grey(deep[..., 0] / 65535) / 255) ** gamma)
        # 16 bits are rounded to 8 first; where the curve is steep a level becomes several.
        steep = 255 * np.abs(np.diff(encoded((np.arange(256) / 255) ** gamma))).max() / 255
        yield Case(f'icc-grey16-{which}', png(deep, 16, 0, iccp), shown, 2 + steep / 2)
        # of another colour space than the picture's: passed over
        plain = value.astype(float)
        yield Case(f'icc-grey-in-rgb-{which}', png(value, 8, 2, iccp), plain)


def every_case() -> list[Case]:
    return [*pngs(), *tiffs(), *bmps(), *lossy(), *with_profiles()]
