"""Paint plants and single objects as billboards, far to near."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tools.demo_model.drawings import OBJECTS, PLANTS
from tools.demo_model.noise import hash01, smoothstep
from tools.demo_model.scene_parts import OBJECT_SLOTS
from tools.demo_model.sky import mix
from tools.demo_model.world import CELL_H, CELL_W, LEVELS, VARIANTS

PLANT_LAYERS = (22, 14)


def blend_layer(f, texel, ok, z, shade):
    """Paint a lit sprite layer [B, 5, H, W] at depth z where `ok` and in front of the image; returns its alpha."""
    z = z.expand_as(f.depth)
    alpha = texel[:, 3] * ok * (z < f.depth)
    light = f.sprite_sun * shade[:, None] + f.sprite_sky
    light = mix(light, light.amax(1, keepdim=True) * 1.1 + 0.12, f.q["under"][:, None] * 0.75)
    paint = f.fogged(texel[:, :3] * (light + texel[:, 4:5] * f.sprite_glow), z)
    solid = alpha > 0.5
    f.colour = mix(f.colour, paint, alpha[:, None])
    f.depth = torch.where(solid, z, f.depth)
    f.water = f.water & ~solid
    return alpha


def sample(f, atlas, tx, ty):
    """Atlas lookup [B, 5, H, W] at texture coordinates in 0..1."""
    B = tx.shape[0]
    grid = torch.stack([tx * 2 - 1, ty * 2 - 1], -1).view(1, B * f.H, f.W, 2)
    return (
        F.grid_sample(atlas, grid, mode="bilinear", align_corners=False).view(5, B, f.H, f.W).transpose(0, 1)
    )


PLANT_KEYS = ("kind0", "kind1", "kind2", "size", "cover", "near", "far", "clump", "water")


def plants(f, slot):
    """Paint one vegetation system, far to near: PLANT_LAYERS[slot] layers of one plant per cell."""
    q, layers = f.q, PLANT_LAYERS[slot]
    v = {key: q[f"v{slot}_{key}"] for key in PLANT_KEYS}
    if float(v["cover"].max()) <= 0:
        return
    k = torch.arange(layers, device=f.world.device).view(1, -1, 1) + 0 * q["seed"]
    ratio = (v["far"] / v["near"]) ** (1 / layers)
    z_layer = v["near"] * (v["far"] / v["near"]) ** ((k + 0.9 * hash01(k, q["seed"], k * 0)) / layers)
    pitch = v["size"] * (0.85 if slot == 0 else 0.62)
    offset = 1e3 * hash01(k, q["seed"] + 5, k * 0) + 500
    cell = torch.floor((f.u * z_layer + offset) / pitch)
    h = [hash01(cell, k * 1.7, q["seed"] + m) for m in range(6)]
    xc = (cell + 0.5 + (h[5] - 0.5) * 0.16) * pitch - offset
    size = v["size"] * (0.62 + 0.43 * h[1])
    z = z_layer * (1 + 0.9 * (h[4] - 0.5) * (ratio - 1))
    base, there = standing(f, v, xc, z, size, h[0])
    kind = torch.where(h[2] < 0.5, v["kind0"], torch.where(h[2] < 0.75, v["kind1"], v["kind2"]))
    row = blur_level(v["size"] / (z * f.px)) * len(PLANTS) + kind
    width = size * CELL_W / CELL_H * (1.0 if slot == 0 else 1.25)
    tx = texture_x(f, (f.u * z_layer - xc) / width + 0.5, torch.floor(h[3] * VARIANTS), there)
    columns = (t.expand(-1, layers, f.W).flip(1) for t in (tx, z, base, size, row))
    paint_layers(f, f.world.plants, len(PLANTS) * LEVELS, *columns, 0.45, 0.55)


def standing(f, v, xc, z, size, chance):
    """Foot height (m) of plants at xc, z and whether one grows there: clumped, dry, on gentle ground."""
    q = f.q
    g = f.terrain.height(xc, z, z * f.px, 7, False)
    beside = f.terrain.height(xc + size * 0.3, z, z * f.px, 7, False)
    clump = f.world.noise((xc + q["ox"]) / v["clump"], (z + q["oz"]) / v["clump"])
    there = chance < v["cover"] * smoothstep(-0.45, 0.1, clump + 1.5 * (v["cover"] - 0.5)) * 1.15
    there = there & (v["cover"] > 0) & (g > q["waterline"] + v["water"])
    there = there & ((beside - g).abs() < size * 0.28) & (g < q["snowline"].clamp_min(60) + 200)
    in_river = (f.terrain.centre_line(z) - xc).abs() <= q["river_w"] * (q["river"] > 0) * 1.2
    in_falls = (q["fall_w"] > 0) & ((xc - q["cone_x"]).abs() < q["fall_w"] * 1.7)
    return torch.minimum(g, beside) - size * 0.02, there & ~in_river & ~in_falls


def blur_level(height_px):
    """Atlas level 0..2 for a sprite of this height on screen."""
    return (height_px < CELL_H / 1.8).float() + (height_px < CELL_H / 5).float()


def texture_x(f, tx, variant, there):
    """Horizontal atlas coordinate (sprites lit from the sun's side), -1 where no sprite is."""
    ok = there & (tx > 0.004) & (tx < 0.996)
    tx = torch.where(f.q["sun_x"] > 0, 1 - tx, tx)
    return torch.where(ok, (variant + tx) / VARIANTS, -torch.ones_like(tx))


def paint_layers(f, atlas, rows, tx, z, base, size, row, lo, hi):
    """Paint billboard layers, back to front; returns pixel counts [B, K].

    Columns tx (texture), z (m), base (m), size (m), row (of `rows` in the atlas) are [B, K, W]; sprites are shaded from
    `lo` at the foot to lo + hi at the top. The fused kernel and the loop below give the same result.
    """
    columns = torch.stack([tx, z, base, size, row])
    if f.world.noise.fused:
        return f.world.noise.fused.sprites(f, atlas, rows, columns, lo, hi)
    seen = []
    for j in range(tx.shape[1]):
        tx_j, z_j, base_j, size_j, row_j = columns[:, :, j : j + 1]
        ty = (f.cam + f.s * z_j - base_j) / size_j
        ok = (tx_j >= 0) & (ty > 0.004) & (ty < 0.996)
        texel = sample(f, atlas, tx_j.clamp_min(0).expand_as(ty), (row_j + 1 - ty.clamp(0.004, 0.996)) / rows)
        alpha = blend_layer(f, texel, ok, z_j, lo + hi * ty.clamp(0, 1))
        seen.append(alpha.sum((1, 2)))
    return torch.stack(seen, 1)


def objects(f):
    """Single objects; returns painted pixel counts [B, OBJECT_SLOTS]."""
    q = f.q
    o = {
        n: torch.cat([q[f"o{k}_{n}"] for k in range(OBJECT_SLOTS)], 1)
        for n in ("on", "kind", "u", "z", "lift", "size", "sky", "need", "variant")
    }
    z, size = o["z"], o["size"]
    xc = o["u"] * z
    steps = torch.tensor([-0.3, 0.0, 0.3], device=z.device).view(1, 1, 3)
    low = f.terrain.height(xc + steps * size, z.expand(-1, -1, 3), (z * f.px).expand(-1, -1, 3), 6, False)
    g, high, level = low.amin(2, keepdim=True), low.amax(2, keepdim=True), q["waterline"]
    grounded = torch.where(o["need"] < 0, level.expand_as(g), torch.maximum(g, level)) - size * 0.03
    base = torch.where(o["sky"] > 0, f.cam + o["lift"] * z, grounded)
    on_land = (g > level + 0.4) & (high - g < size * 0.45)
    fits = torch.where(o["need"] < 0, g < level - 0.3, (o["need"] <= 0) | (o["sky"] > 0) | on_land) & (
        o["on"] > 0
    )
    level_of_blur = blur_level(size / (z * f.px))
    tx = texture_x(f, (f.u * z - xc) / size + 0.5, o["variant"], fits)
    columns = (t.expand(-1, -1, f.W) for t in (tx, z, base, size, level_of_blur * len(OBJECTS) + o["kind"]))
    return paint_layers(f, f.world.objects, len(OBJECTS) * LEVELS, *columns, 0.6, 0.4)
