"""A supersampled pen for small drawings with transparency and light of their own."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw

SUPER = 3


def mix(a, b, t):
    """Blend two RGB tuples."""
    return tuple(int(a[i] + (b[i] - a[i]) * max(0.0, min(1.0, t))) for i in range(3))


class Pen:
    """A supersampled drawing with normalised coordinates: x in [0, 1], y up in [0, 1]."""

    def __init__(self, width, height):
        self.size = (width * SUPER, height * SUPER)
        self.rgb, self.glow = Image.new("RGBA", self.size, (0, 0, 0, 0)), Image.new("L", self.size, 0)
        self.draw, self.draw_glow = ImageDraw.Draw(self.rgb), ImageDraw.Draw(self.glow)
        self.aspect = height / width

    def pts(self, points):
        """Pixel positions of points."""
        return [(x * self.size[0], (1 - y) * self.size[1]) for x, y in points]

    def poly(self, points, color, glow=0):
        """Filled polygon; `glow` 0..255 is its own light."""
        self.draw.polygon(self.pts(points), fill=(*color, 255))
        self.draw_glow.polygon(self.pts(points), fill=glow)

    def rect(self, x0, y0, x1, y1, color, glow=0):
        """Filled rectangle between two corners."""
        self.poly([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, glow)

    def blob(self, x, y, r, color, squash=1.0, glow=0):
        """Ellipse with horizontal radius r (in widths); round on screen when squash is 1."""
        (px, py), rx = self.pts([(x, y)])[0], r * self.size[0]
        box = [px - rx, py - rx * squash, px + rx, py + rx * squash]
        self.draw.ellipse(box, fill=(*color, 255))
        self.draw_glow.ellipse(box, fill=glow)

    def line(self, points, width, color, glow=0):
        """Line of a width given in widths of the drawing."""
        w = max(1, int(width * self.size[0]))
        self.draw.line(self.pts(points), fill=(*color, 255), width=w, joint="curve")
        self.draw_glow.line(self.pts(points), fill=glow, width=w)

    def tensor(self):
        """float32 [5, h, w]: straight RGB, alpha, emission, colours bled outwards against dark fringes."""
        w, h = self.size[0] // SUPER, self.size[1] // SUPER
        rgba = np.asarray(self.rgb, np.float32) / 255
        alpha = torch.from_numpy(rgba[..., 3])[None, None]
        stack = torch.from_numpy(rgba[..., :3]).permute(2, 0, 1)[None] * alpha
        glow = torch.from_numpy(np.asarray(self.glow, np.float32) / 255)[None, None] * alpha
        small = F.interpolate(torch.cat([stack, glow, alpha], 1), (h, w), mode="area")
        a = small[:, 4:]
        far = F.avg_pool2d(small, 9, 1, 4)
        rgb = torch.where(a > 0.02, small[:, :3] / a.clamp_min(0.02), far[:, :3] / far[:, 4:].clamp_min(0.01))
        return torch.cat([rgb, a, small[:, 3:4] / a.clamp_min(0.02)], 1)[0]
