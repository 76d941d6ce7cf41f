"""Renders things: coverage and colour of every layer of a batch on its canvas.

All geometry is computed on a grid four times coarser than the canvas and enlarged bilinearly, which is exact for
affine maps and close for the soft deformations.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from bank import Bank
from script import CUTOUT, SKELETON, TURNTABLE, Layers, turn_matrix
from torch import Tensor

COARSE = 4
TAPER = 0.2  # how much thinner bones are at their end


def numbers(values: list[int], device: torch.device) -> Tensor:
    """Int64 indices on a device; the copy does not wait for what runs there."""
    return torch.tensor(values, dtype=torch.long).to(device, non_blocking=True)


def view_grid(size: tuple[int, int], coarse: int, device: torch.device) -> Tensor:
    """(h, w, 2) view coordinates (x, y) of the nodes of a grid, whose corners are the corner pixels' centres.

    With ``coarse`` 1 the nodes are the pixels.
    """
    height, width = size
    rows, columns = (n if coarse == 1 else n // coarse + 1 for n in size)
    y = torch.linspace(1 / height - 1, 1 - 1 / height, rows, device=device)
    x = torch.linspace(1 / width - 1, 1 - 1 / width, columns, device=device) * (width / height)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


def enlarge(nodes: Tensor, size: tuple[int, int]) -> Tensor:
    """(n, T, h, w, c) on the coarse grid to (n, T, H, W, c) on the canvas."""
    n, frames = nodes.shape[:2]
    fine = F.interpolate(nodes.flatten(0, 1).movedim(-1, 1), size, mode="bilinear", align_corners=True)
    return fine.movedim(1, -1).unflatten(0, (n, frames))


def sample(source: Tensor, grid: Tensor, padding: str) -> Tensor:
    """Bilinear look-up of (n, c, h, w) at (n, a, b, 2), coordinates -1 to 1."""
    return F.grid_sample(source, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def local_nodes(layers: Layers, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Local coordinates (n, T, h, w, 2), deformed, and shading (n, T, h, w, 1) on the coarse grid."""
    away = grid - layers.centre[:, :, None, None]
    turn = turn_matrix(layers.angle)  # (n, T, 2, 2); its transpose turns back
    x, y = torch.einsum("nthwi,ntij->nthwj", away, turn).unbind(-1)
    x = x + layers.shear[..., None, None] * y
    scale = layers.scale[:, :, None, None]
    x, y = x / scale[..., 0], y / scale[..., 1]
    for k in range(layers.swirl.shape[-1]):
        px, py, wide = layers.pivot[:, k, :, None, None, None].unbind(1)
        dx, dy = x - px, y - py
        angle = layers.swirl[..., k, None, None] * torch.exp(-(dx * dx + dy * dy) / (2 * wide * wide))
        c, s = angle.cos(), angle.sin()
        x, y = px + c * dx - s * dy, py + s * dx + c * dy
    bend_x, bend_y = torch.zeros_like(x), torch.zeros_like(y)
    for k in range(layers.wave.shape[-1]):
        wx, wy, ax, ay = layers.waves[:, k, :, None, None, None].unbind(1)
        wave = layers.wave[..., k, None, None] * torch.sin(wx * x + wy * y + 2.0 * k)
        bend_x, bend_y = bend_x + ax * wave, bend_y + ay * wave
    x, y = x + bend_x, y + bend_y
    light, glint = layers.light[:, :, None, None], layers.glint[:, :, None, None]
    shade = 1 + light[..., 0] * x.clamp(-1, 1) + light[..., 1] * y.clamp(-1, 1)
    far = (x - glint[..., 0]) ** 2 + (y - glint[..., 1]) ** 2
    shade = shade + glint[..., 2] * torch.exp(-far / 0.08)
    x = x * layers.mirrored[:, None, None, None]
    return torch.stack([x, y], -1), shade[..., None]


def skeletons(layers: Layers, counts: list[int], local: Tensor, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """Union of bones and rings.

    Args:
        counts: bones of each layer, most first.
        local: (m, T, H, W, 2).
        height: of the canvas, px, for the width of the soft edge.

    Returns:
        coverage (m, T, H, W), texture coordinates (m, T, H, W, 2), bone (m, T, H, W) int64.
    """
    x, y = local.unbind(-1)
    best, along, across = torch.full_like(x, 9.0), torch.zeros_like(x), torch.zeros_like(x)
    which = torch.zeros_like(x, dtype=torch.uint8)
    for k in range(max(counts)):
        m = sum(count > k for count in counts)  # the first m have this bone
        direction = layers.direction[:m, :, k, None, None]
        c, s = direction.cos(), direction.sin()
        length, radius = (value[:m, k, None, None, None] for value in (layers.length, layers.radius))
        dx, dy = (axis[:m] - layers.start[:m, :, k, i, None, None] for i, axis in enumerate((x, y)))
        u, v = c * dx + s * dy, c * dy - s * dx
        inside = torch.minimum(u.clamp(min=0), length)
        beyond = u - inside
        gap = torch.sqrt(beyond * beyond + v * v) - radius * (1 - TAPER * inside / length)
        win = gap < best[:m]
        for kept, new in ((best, gap), (along, u + 0.37 * k), (across, v)):
            torch.where(win, new, kept[:m], out=kept[:m])
        which[:m].masked_fill_(win, k)
    for k in range(layers.ring.shape[1]):
        cx, cy, radius, wide = layers.ring[:, k, :, None, None, None].unbind(1)
        gap = (torch.hypot(x - cx, y - cy) - radius).abs() - wide
        best = torch.where((wide > 0) & (gap < best), gap, best)
    pixel = layers.scale.prod(-1).sqrt()[..., None, None] * height / 2  # px of one local unit
    return (0.5 - best * pixel).clamp(0, 1), torch.stack([along, across], -1), which.long()


def silhouettes(bank: Bank, layers: Layers, local: Tensor, height: int) -> Tensor:
    """Coverage (m, T, H, W); the edge is sharpened to about one pixel and a half."""
    m = len(local)
    source = bank.silhouettes[layers.asset].float() / 255
    soft = sample(source, local.flatten(1, 2), "zeros").view(m, *local.shape[1:4])
    pixels = layers.scale.prod(-1).sqrt() * height / 80  # px of the canvas per px of the tile
    sharp = (3 * pixels).clamp(1, 12)[..., None, None]
    return ((soft - 0.5) * sharp + 0.5).clamp(0, 1)


def pictures(source: Tensor, local: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Colour (m, T, 3, H, W) and coverage (m, T, H, W) of tiles.

    Args:
        source: (m, T or 1, 4, h, w) uint8.
        local: (m, T, H, W, 2).
        pixels: (m, T) px of the canvas per px of the tile.
    """
    m, frames, height, width = local.shape[:4]
    if source.shape[1] == 1:
        rgba = sample(source[:, 0].float() / 255, local.flatten(1, 2), "border")
        rgba = rgba.view(m, 4, frames, height, width).transpose(1, 2)
    else:
        rgba = sample(source.flatten(0, 1).float() / 255, local.flatten(0, 1), "border").view(
            m, frames, 4, height, width
        )
    inside = (local.abs() <= 1).all(-1)
    sharp = (3 * pixels).clamp(1, 12)[..., None, None]
    return rgba[:, :, :3], ((rgba[:, :, 3] - 0.5) * sharp + 0.5).clamp(0, 1) * inside


def textures(bank: Bank, layers: Layers, grid: Tensor) -> Tensor:
    """Colours (m, T, 3, H, W) of pieces of photos at texture coordinates (m, T, H, W, 2)."""
    m, frames, height, width = grid.shape[:4]
    grid = grid * layers.zoom[:, None, None, None, None] + layers.offset[:, :, None, None]
    source = bank.photos[layers.photo].float() / 255
    rgb = sample(source, grid.flatten(1, 2), "reflection").view(m, 3, frames, height, width).transpose(1, 2)
    mean = source.mean((2, 3))
    base = torch.where(layers.keep[:, None], mean, layers.base)
    shift = base - layers.contrast[:, None] * torch.einsum("ncd,nd->nc", layers.mix, mean)
    mix = layers.mix * layers.contrast[:, None, None]
    return torch.einsum("ncd,ntdhw->ntchw", mix, rgb) + shift[:, None, :, None, None]


def render(
    bank: Bank, layers: Layers, kinds: list[int], bones: list[int], size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """Draws layers.

    Args:
        kinds: kind of each layer, known without asking the device.
        bones: how many bones each layer would have as a skeleton.

    Returns:
        colour (n, T, 3, H, W) in [0, 1], coverage (n, T, H, W).
    """
    n, frames = layers.centre.shape[:2]
    device, height = layers.centre.device, size[0]
    nodes, shade = local_nodes(layers, view_grid(size, COARSE, device))
    colour = torch.empty(n, frames, 3, *size, device=device)
    coverage = torch.empty(n, frames, *size, device=device)
    pixels = layers.scale.prod(-1).sqrt() * height
    for kind in sorted(set(kinds)):
        rows = sorted((i for i, k in enumerate(kinds) if k == kind), key=lambda i: -bones[i])
        index = numbers(rows, device)
        some, local = layers.pick(index), enlarge(nodes[index], size)
        if kind == CUTOUT:
            rgb, alpha = pictures(bank.cutouts[some.asset][:, None], local, pixels[index] / 160)
        elif kind == TURNTABLE:
            rgb, alpha = pictures(bank.turntables[some.asset[:, None], some.view], local, pixels[index] / 128)
        elif kind == SKELETON:
            alpha, grid, bone = skeletons(some, [bones[i] for i in rows], local, height)
            rgb = textures(bank, some, grid)
            each = torch.arange(len(index), device=device)[:, None, None, None]
            rgb = rgb + some.palette[each, bone].movedim(-1, 2)
        else:
            alpha = silhouettes(bank, some, local, height)
            rgb = textures(bank, some, local)
        colour[index], coverage[index] = rgb, alpha
    colour *= enlarge(shade, size)[..., 0][:, :, None]
    return colour.clamp_(0, 1), coverage
