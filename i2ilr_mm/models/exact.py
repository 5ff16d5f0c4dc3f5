"""The exact LR layer: whatever comes in, what goes out shrinks to the LR target."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from ..binding import bound, continued
from ..lr import right_inverse, shrinking_matrix


class ExactLR(nn.Module):
    """y + U (lr - D y): the nearest picture, in U's shape, whose LR picture is the target.

    D is the LR operator and U a right inverse of it, D U = 1, so that D of the result is ``lr``
    for every y. The part of y that D cannot see, its detail, passes through; the gradient that y
    gets is freed of what the layer overrules. The arithmetic is that of
    :func:`i2ilr_mm.lr.project`, as two small matrix products per side that every backend and export
    knows, in float32 or better also under autocast. Source: range/null-space decomposition (DDNM,
    Wang et al. 2023).

    Args:
        img_size: Side H of the pictures.
        lr_size: Side s of the LR pictures, or several; the first is that of :meth:`detail`.
        lr_method: The LR operator D, see :func:`i2ilr_mm.lr.down`.
        up_method: Shape of the correction U, see :func:`i2ilr_mm.lr.up`.

    Raises:
        ValueError: If the sizes do not fit, a method is unknown, or D has no such right inverse.

    Examples:
        >>> import torch
        >>> from i2ilr_mm.lr import down
        >>> layer, lr = ExactLR(32, 8, 'box', 'bilinear'), torch.rand(1, 3, 8, 8)
        >>> result = layer(torch.rand(1, 3, 32, 32), lr)
        >>> torch.allclose(down(result, 8), lr, atol=1e-5)
        True
    """

    def __init__(
        self, img_size: int, lr_size: int | Sequence[int], lr_method: str, up_method: str
    ) -> None:
        super().__init__()
        self.lr_sizes = (lr_size,) if isinstance(lr_size, int) else tuple(lr_size)
        self.img_size, self.methods = img_size, (lr_method, up_method)
        # float64 up to here: the inverse of D U costs digits that float32 does not have to spare.
        dtype = torch.get_default_dtype()
        for size in self.lr_sizes:
            down, up = _matrices(img_size, size, lr_method, up_method)
            # Worked out from the sizes, so not in checkpoints.
            self.register_buffer(f'down_{size}', down.to(dtype), persistent=False)
            self.register_buffer(f'up_{size}', up.to(dtype), persistent=False)

    def matrices(self, lr_size: int, size: int | None = None) -> tuple[Tensor, Tensor]:
        """D (s, H) and U (H, s) of one axis, for LR pictures of a size.

        Args:
            lr_size: Side s of the LR picture.
            size: Side H of the picture; None is that of the network.
        """
        if size in (None, self.img_size) and lr_size in self.lr_sizes:
            return getattr(self, f'down_{lr_size}'), getattr(self, f'up_{lr_size}')
        like = getattr(self, f'down_{self.lr_sizes[0]}')
        down, up = _matrices(size or self.img_size, lr_size, *self.methods)
        return down.to(like), up.to(like)

    def forward(self, image: Tensor, lr: Tensor) -> Tensor:
        """Move images to their LR targets.

        Args:
            image: (B, C, H, H).
            lr: (B, C, s, s); or (B, 4, s, s) for targets of three channels that bind in part, see
                :mod:`i2ilr_mm.binding`. Free cells go along with binding ones nearby.

        Returns:
            (B, C, H, H), float32 or float64. It can leave [-1, 1] where the target asks for it.
        """
        # down(y) is D y D^T, one factor per axis, and D U = 1:
        #   z = y + U (l - D y D^T) U^T
        #   D z D^T = D y D^T + (D U) (l - D y D^T) (D U)^T = l
        # Backwards, with g = dL/dz, autograd takes  dL/dy = g - D^T (U^T g U) D  and
        # dL/dl = U^T g U. A change of y that D alone sees, U d U^T, moves nothing:
        #   <dL/dy, U d U^T> = <g, U d U^T> - <U^T g U, d> = 0
        # Not in bfloat16, whose 8 bits resolve half a grey level near white.
        (rows, up_rows), (columns, up_columns) = map(self.matrices, lr.shape[2:], image.shape[2:])
        with torch.autocast(image.device.type, enabled=False):
            image = image.to(rows.dtype)
            own = rows @ image @ columns.T
            lr = lr.to(rows.dtype)
            whole = bound(continued(own, lr), lr)
            return image + up_rows @ (whole - own) @ up_columns.T

    def detail(self, image: Tensor) -> Tensor:
        """What D cannot see of images (B, C, H, H): they are moved to an LR picture of zeros."""
        size = self.lr_sizes[0]
        return self(image, image.new_zeros(1, image.shape[1], size, size))


def _matrices(img_size: int, lr_size: int, lr_method: str, up_method: str) -> tuple[Tensor, Tensor]:
    if torch.get_default_device().type == 'meta':  # shapes alone were asked for
        return torch.empty(lr_size, img_size), torch.empty(img_size, lr_size)
    # The cost forecast builds models without memory; U needs an inverse of real numbers.
    with unset_fake_temporarily():
        down = shrinking_matrix(img_size, lr_size, lr_method)
        return down, right_inverse(img_size, lr_size, lr_method, up_method)
