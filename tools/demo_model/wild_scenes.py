"""Scene builders of volcano, city and other planets."""

from __future__ import annotations

from tools.demo_model.scene_parts import ALIEN_GROUNDS, ground, logu, plants, scene, uni


@scene("volcano", 1.0)
def volcano(p, r, season):
    """A cone with lava and smoke."""
    p.update(
        L=900,
        fbm=uni(r, 18, 44),
        base=14,
        cone=uni(r, 560, 820),
        cone_r=uni(r, 1000, 1500),
        cone_x=uni(r, -420, 420),
        cone_z=uni(r, 1900, 2700),
        crater=1.0,
        lava=1.0,
        smoke=uni(r, 0.5, 1.0),
        height=logu(r, 5, 60),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.05, 0.25),
        rocky=1.2,
    )
    ground(p, "ash", r, 4)
    if r.random() < 0.25:
        p.update(waterline=0, base=-6)
    plants(p, 0, ("dead_tree", "dead_tree", "rock"), 8, uni(r, 0, 0.35), 14, 400, 80)
    plants(p, 1, ("rock",), 1.4, 0.4, 3, 30, 12)
    return ""


@scene("city", 1.8)
def city(p, r, season):
    """Blocks of towers, some at the water."""
    p.update(
        L=2500,
        fbm=4,
        base=6,
        city=uni(r, 110, 330),
        city_cell=logu(r, 48, 105),
        cone_z=uni(r, 500, 1100),
        cone_x=uni(r, -200, 200),
        cone_r=uni(r, 350, 800),
        height=logu(r, 12, 190),
        tan=uni(r, 0.5, 0.8),
        horizon=uni(r, -0.05, 0.3),
        rocky=0,
        env0=uni(r, 90, 260),
        env1=900,
    )
    ground(p, "city", r, 4)
    if r.random() < 0.45:
        p.update(
            waterline=0,
            base=-3.2,
            fbm=3,
            side=14.0,
            side_x=0.0,
            env0=uni(r, 150, 300),
            height=logu(r, 8, 60),
            cone_z=uni(r, 450, 800),
            front=1,
        )
    return "waterfront" if p["waterline"] == 0 else ""


@scene("alien", 1.1)
def alien(p, r, season):
    """Another planet with crystals or mushrooms."""
    p.update(
        L=logu(r, 600, 1800),
        ridge=uni(r, 60, 420),
        fbm=uni(r, 20, 60),
        env0=200,
        env1=1500,
        base=20,
        terr=uni(r, 0, 0.7),
        terr_step=uni(r, 30, 90),
        height=logu(r, 4, 30),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.05, 0.25),
        planet=1.0,
        planet_x=uni(r, -0.5, 0.5),
        planet_y=uni(r, 0.22, 0.5),
        planet_r=uni(r, 0.1, 0.3),
        ring=float(r.random() < 0.6),
        nebula=uni(r, 0.3, 1.0),
        alien=1,
    )
    ground(p, ALIEN_GROUNDS[r.integers(4)], r)
    kind = r.choice(["mushroom", "crystal"])
    plants(p, 0, (kind, kind, "rock"), uni(r, 6, 14), uni(r, 0.2, 0.7), 10, 500, 70)
    plants(p, 1, ("crystal", "rock", "mushroom"), 1.3, 0.4, 3, 30, 9)
    if r.random() < 0.35:
        p.update(waterline=0, base=-6)
    return {"mushroom": "glowing mushrooms", "crystal": "crystals"}[kind]
