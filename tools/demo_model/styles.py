"""Colour palettes and image styles as image filters: RGB [B, 3, H, W] in 0..1 -> the same."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tools.demo_model.noise import smoothstep
from tools.demo_model.scene_parts import PALETTES, STYLES


def luma(x):
    """Luminance [B, 1, H, W]."""
    return 0.299 * x[:, 0:1] + 0.587 * x[:, 1:2] + 0.114 * x[:, 2:3]


def blur(x, k):
    """Box blur with replicated border, odd size k."""
    return F.avg_pool2d(F.pad(x, (k // 2,) * 4, mode="replicate"), k, 1)


def saturate(x, k):
    """Colours k times as far from grey."""
    g = luma(x)
    return (g + (x - g) * k).clamp(0, 1)


def colour(x, *rgb):
    """One colour in the shape [1, 3, 1, 1] and on the device of x."""
    return torch.tensor(rgb, device=x.device, dtype=x.dtype).view(1, 3, 1, 1)


def gradient_map(x, dark, mid, light):
    """Luminance mapped over three colours."""
    g = luma(x)
    a, b, c = (colour(x, *v) for v in (dark, mid, light))
    return torch.where(g < 0.5, a + (b - a) * g * 2, b + (c - b) * (g - 0.5) * 2)


TONES = {
    "golden": ((0.12, 0.05, 0.02), (0.80, 0.50, 0.18), (1.0, 0.93, 0.68), 0.5, 1.1),
    "pastel": ((0.42, 0.36, 0.50), (0.84, 0.70, 0.78), (1.0, 0.96, 0.90), 0.6, 0.8),
    "teal and orange": ((0.0, 0.10, 0.15), (0.34, 0.48, 0.50), (1.0, 0.80, 0.56), 0.5, 1.2),
    "crimson": ((0.08, 0.0, 0.02), (0.66, 0.10, 0.13), (1.0, 0.78, 0.66), 0.66, 1.0),
    "violet": ((0.07, 0.02, 0.16), (0.48, 0.28, 0.68), (0.98, 0.84, 1.0), 0.6, 1.0),
    "monochrome": ((0.02, 0.02, 0.02), (0.46, 0.46, 0.46), (0.97, 0.97, 0.97), 1.0, 1.0),
    "emerald": ((0.0, 0.07, 0.05), (0.16, 0.50, 0.36), (0.86, 1.0, 0.82), 0.58, 1.0),
    "sepia": ((0.10, 0.06, 0.03), (0.56, 0.42, 0.28), (0.98, 0.91, 0.76), 0.95, 1.0),
}


def apply_palette(x, index):
    """Grade each image with its palette (index [B])."""
    out = x
    for k, name in enumerate(PALETTES):
        pick = (index == k).view(-1, 1, 1, 1)
        if name == "vivid":
            graded = saturate(x, 1.6)
        elif name in TONES:
            dark, mid, light, amount, sat = TONES[name]
            graded = saturate(x + (gradient_map(x, dark, mid, light) - x) * amount, sat)
        else:
            continue
        out = torch.where(pick, graded, out)
    return out


def pixel_grid(x):
    """Row and column numbers of the pixels, each float32 [H, W]."""
    height, width = x.shape[-2:]
    rows, columns = torch.arange(height, device=x.device) / 1.0, torch.arange(width, device=x.device) / 1.0
    return torch.meshgrid(rows, columns, indexing="ij")


def oil(x, world):
    """Kuwahara filter on noise-displaced pixels: brush dabs."""
    B, _, H, W = x.shape
    yy, xx = pixel_grid(x)
    dx, dy = world.noise(xx / 9, yy / 14) * 5, world.noise(xx / 9 + 50, yy / 14) * 5
    grid = torch.stack([(xx + dx) / W * 2 - 1, (yy + dy) / H * 2 - 1], -1)[None].expand(B, -1, -1, -1)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    r = 5
    best, out = None, None
    pad = F.pad(x, (2 * r,) * 4, mode="replicate")
    mean, sq = F.avg_pool2d(pad, r + 1, 1), F.avg_pool2d(luma(pad) ** 2, r + 1, 1)
    var = sq - luma(mean) ** 2
    for oy in (r, 2 * r):
        for ox in (r, 2 * r):
            m, v = mean[:, :, oy : oy + H, ox : ox + W], var[:, :, oy : oy + H, ox : ox + W]
            out = m if best is None else torch.where(v < best, m, out)
            best = v if best is None else torch.minimum(best, v)
    relief = world.noise(xx / 3.1 + 9, yy / 8)[None, None] * 0.045
    return (saturate(out, 1.35) * 1.04 + relief).clamp(0, 1)


def watercolor(x, world):
    """Soft washes on paper with dark edges and an unpainted border."""
    yy, xx = pixel_grid(x)
    soft = blur(blur(x, 7), 7)
    flat = soft + (torch.round(soft * 6) / 6 - soft) * 0.55
    edge = (luma(flat) - luma(blur(flat, 9))).abs()
    wash = world.noise.fbm(xx / 60, yy / 60, 4)[None, None]
    grain = world.noise.fbm(xx / 4, yy / 4, 2)[None, None]
    paper = colour(x, 0.985, 0.965, 0.925) * (1 + 0.03 * grain)
    tint = 1 - (1 - saturate(flat, 1.15)) * (0.78 + 0.22 * wash) - edge * 0.9
    height, width = x.shape[-2:]
    vx, vy = (xx / width * 2 - 1).abs(), (yy / height * 2 - 1).abs()
    border = smoothstep(0.86, 1.02, torch.maximum(vx, vy)[None, None] + 0.10 * wash)
    out = paper * (tint * 0.93 + 0.07).clamp(0, 1)
    return (out + (paper - out) * border).clamp(0, 1)


def ink(x, world):
    """Lines and hatching in black on paper."""
    yy, xx = pixel_grid(x)
    g = luma(x)
    g = (g - g.mean((2, 3), keepdim=True)) / (g.std((2, 3), keepdim=True) + 0.05) * 0.24 + 0.58
    dog = blur(g, 3) - blur(blur(g, 5), 5)
    line = smoothstep(0.015, 0.06, -dog + 0.005)
    wob = world.noise(xx / 30, yy / 30)[None, None] * 1.5

    def hatch(a, b, p):
        return torch.sin((xx * a + yy * b)[None, None] * p + wob) * 0.5 + 0.5

    soft = blur(g, 5)
    tone = smoothstep(0.0, 0.2, 0.57 - soft) * hatch(0.7, 0.7, 1.25) * 0.75
    tone = torch.maximum(tone, smoothstep(0.02, 0.2, 0.42 - soft) * hatch(0.7, -0.7, 1.25) * 0.85)
    tone = torch.maximum(tone, smoothstep(0.0, 0.12, 0.2 - soft) * 0.9)
    dark = torch.maximum(line, tone)
    return colour(x, 0.955, 0.94, 0.90) * (1 - dark) + colour(x, 0.10, 0.10, 0.13) * dark


def pixel_art(x, world, block=8):
    """Dithered blocks of 8 pixels in few colours."""
    H, W = x.shape[-2:]
    small = F.interpolate(x, (H // block, W // block), mode="area")
    small = saturate((small - 0.5) * 1.15 + 0.5, 1.35)
    h, w = small.shape[-2:]
    bayer = (
        torch.tensor([[0.0, 2.0], [3.0, 1.0]], device=x.device).repeat((h + 1) // 2, (w + 1) // 2)[:h, :w] / 4
        - 0.375
    )
    q = torch.round((small + bayer[None, None] * 0.10) * 6) / 6
    return F.interpolate(q.clamp(0, 1), (H, W), mode="nearest")


def synthwave(x, world):
    """Purple, pink and cyan by lightness and warmth."""
    mapped = gradient_map(
        ((x - 0.5) * 1.15 + 0.5).clamp(0, 1), (0.05, 0.01, 0.15), (0.66, 0.12, 0.62), (0.60, 0.95, 1.0)
    )
    warm = smoothstep(0.05, 0.45, x[:, 0:1] - x[:, 2:3])
    hot = gradient_map(x, (0.15, 0.0, 0.2), (1.0, 0.22, 0.55), (1.0, 0.86, 0.45))
    return saturate(mapped * (1 - warm) + hot * warm, 1.2)


def cells(x, size, jitter, world):
    """Nearest two jittered grid seeds of each pixel: seed position [H, W] x 2 and distance gap."""
    yy, xx = pixel_grid(x)
    i, j = torch.floor(xx / size), torch.floor(yy / size)
    d1, d2 = torch.full_like(xx, 1e9), torch.full_like(xx, 1e9)
    sx, sy = xx, yy
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            ci, cj = i + a, j + b
            hx, hy = (torch.sin(ci * 127.1 + cj * 311.7 + k) * 43758.5453 for k in (1.0, 2.0))
            px = (ci + 0.5 + (hx - torch.floor(hx) - 0.5) * jitter) * size
            py = (cj + 0.5 + (hy - torch.floor(hy) - 0.5) * jitter) * size
            d = torch.sqrt((px - xx) ** 2 + (py - yy) ** 2)
            near = d < d1
            d2 = torch.where(near, d1, torch.minimum(d2, d))
            sx, sy, d1 = torch.where(near, px, sx), torch.where(near, py, sy), torch.where(near, d, d1)
    return sx, sy, d2 - d1


def at(x, sx, sy):
    """Image colours at pixel positions sx, sy [H, W]."""
    H, W = x.shape[-2:]
    grid = torch.stack([sx / W * 2 - 1, sy / H * 2 - 1], -1)[None].expand(x.shape[0], -1, -1, -1)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def stained_glass(x, world):
    """Glass cells between lead."""
    sx, sy, gap = cells(x, 32, 0.9, world)
    glass = at(blur(x, 9), sx, sy)
    glow = 1 + 0.12 * world.noise(sx / 11, sy / 11)[None, None]
    glass = saturate(((glass - 0.5) * 1.15 + 0.55) * glow, 1.7)
    return (glass * smoothstep(1.6, 4.4, gap)[None, None]).clamp(0, 1)


def low_poly(x, world):
    """Triangles of a warped triangular lattice, each in the colour of its centre, with a facet tint."""
    yy, xx = pixel_grid(x)
    size = 30.0
    wx, wy = world.noise(xx / 70, yy / 70) * 14, world.noise(xx / 70 + 31, yy / 70) * 14
    a, b = (xx + wx) / size, (yy + wy) / (size * 0.866)
    row = torch.floor(b)
    skew = a - 0.5 * b
    i, fa, fb = torch.floor(skew), skew - torch.floor(skew), b - row
    up = (fa + fb > 1).float()
    ci, cj = i + (1 + up) / 3, row + (1 + up) / 3
    cx, cy = (ci + 0.5 * cj) * size - wx, cj * size * 0.866 - wy
    tint = torch.sin(i * 127.1 + row * 311.7 + up * 74.7) * 43758.5453
    tint = (tint - torch.floor(tint) - 0.5) * 0.085 + (up - 0.5) * 0.05
    return saturate((at(blur(x, 9), cx, cy) + tint[None, None]).clamp(0, 1), 1.25)


def outlines(x, lo, hi):
    """Where the local contrast of luminance exceeds lo..hi: [B, 1, H, W] in 0..1."""
    g = luma(x)
    e = F.max_pool2d(F.pad(g, (1,) * 4, mode="replicate"), 3, 1) + F.max_pool2d(
        F.pad(-g, (1,) * 4, mode="replicate"), 3, 1
    )
    return smoothstep(lo, hi, e)


def comic(x, world):
    """Flat strong tones with black outlines."""
    soft = blur(blur(x, 5), 3)
    g = luma(soft).clamp_min(0.02)
    flat = soft * ((torch.round(g * 5) / 5 * 0.85 + 0.15 * g + 0.04) / g)
    return saturate(flat.clamp(0, 1), 1.5) * (1 - 0.92 * outlines(blur(x, 3), 0.16, 0.36))


def ukiyo(x, world):
    """Woodblock print: flat indigo-to-cream tones, fine outlines, paper grain."""
    yy, xx = pixel_grid(x)
    soft = blur(blur(x, 7), 5)
    tone = gradient_map(soft, (0.10, 0.17, 0.32), (0.46, 0.60, 0.60), (0.95, 0.88, 0.72))
    mixed = tone * 0.55 + saturate(soft, 1.1) * 0.45
    flat = torch.round(mixed * 7) / 7 * 0.75 + mixed * 0.25
    grain = world.noise(xx / 40, yy / 2.2)[None, None] * 0.022
    return (
        (flat + grain) * (1 - 0.85 * outlines(blur(x, 3), 0.16, 0.36)) * colour(x, 1.0, 0.975, 0.92)
    ).clamp(0, 1)


FILTERS = {
    "oil painting": oil,
    "watercolor": watercolor,
    "ink sketch": ink,
    "pixel art": pixel_art,
    "synthwave": synthwave,
    "low poly": low_poly,
    "stained glass": stained_glass,
    "comic": comic,
    "ukiyo-e": ukiyo,
}


def apply_styles(x, params, world):
    """Palette then style of each image; photos get a slight vignette and contrast."""
    x = apply_palette(x, params["palette"])
    out = x.clone()
    for k, name in enumerate(STYLES):
        pick = (params["style"] == k).nonzero()[:, 0]
        if name in FILTERS and len(pick):
            out[pick] = FILTERS[name](x[pick], world).to(x.dtype)
    return out.clamp(0, 1)
