"""Scene builders without much water."""

from __future__ import annotations

from tools.demo_model.scene_parts import ground, logu, plants, scene, trees_for, uni


@scene("mountains", 1.3)
def mountains(p, r, season):
    """A range behind wooded ground."""
    p.update(
        L=logu(r, 1500, 3200),
        ridge=uni(r, 380, 760),
        fbm=uni(r, 20, 60),
        env0=uni(r, 150, 500),
        env1=uni(r, 1600, 3200),
        base=uni(r, 10, 30),
        height=logu(r, 4, 60),
        tan=uni(r, 0.45, 0.75),
        horizon=uni(r, -0.15, 0.25),
        gain=uni(r, 0.45, 0.52),
    )
    ground(p, "snow" if season == "winter" else "autumn" if season == "autumn" else "alpine", r)
    p["snowline"] = {"winter": -50, "spring": uni(r, 200, 420)}.get(season, uni(r, 260, 560))
    plants(
        p,
        0,
        trees_for(season, ("conifer", "conifer", "conifer")),
        uni(r, 13, 20),
        uni(r, 0.2, 0.8),
        18,
        1100,
        130,
    )
    plants(
        p,
        1,
        ("grass", "rock", "flowers") if season in ("spring", "summer") else ("rock", "grass", "rock"),
        1.2,
        uni(r, 0.2, 0.6),
        2.5,
        26,
        9,
    )
    return ""


@scene("canyon", 1.0)
def canyon(p, r, season):
    """A winding gorge with layered walls."""
    p.update(
        L=900,
        fbm=uni(r, 12, 28),
        base=uni(r, 6, 14),
        canyon=uni(r, 150, 320),
        canyon_w=uni(r, 50, 130),
        meander=uni(r, 40, 130),
        meander_l=uni(r, 500, 1100),
        terr=0.8,
        terr_step=uni(r, 28, 60),
        strata=1.0,
        height=logu(r, 8, 130),
        tan=uni(r, 0.55, 0.8),
        horizon=uni(r, -0.05, 0.3),
        rocky=0.3,
    )
    ground(p, "red", r)
    if r.random() < 0.45:
        p.update(waterline=0, river=30.0, river_w=uni(r, 10, 22))
    plants(p, 0, ("grass", "dead_tree", "grass"), 4, 0.2, 12, 200, 60)
    plants(p, 1, ("rock", "grass", "rock"), 1.5, 0.35, 3, 40, 12)
    return "with a river" if p["river"] else ""


@scene("desert", 1.2)
def desert(p, r, season):
    """Dunes, pyramids, cacti or an oasis."""
    p.update(
        L=1200,
        fbm=uni(r, 4, 14),
        base=20,
        dune=uni(r, 14, 44),
        dune_l=logu(r, 130, 340),
        height=logu(r, 4, 40),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.05, 0.25),
        rocky=0,
        patch=0.3,
    )
    ground(p, "sand" if r.random() < 0.8 else "red", r)
    kind = r.choice(["", "pyramids", "cactus", "oasis"], p=[0.34, 0.34, 0.18, 0.14])
    if kind == "pyramids":
        p.update(
            pyramid=uni(r, 130, 210), cone_x=uni(r, -130, 130), cone_z=uni(r, 360, 760), dune=uni(r, 5, 12)
        )
    if kind == "cactus":
        p.update(dune=uni(r, 2, 8))
        plants(p, 0, ("cactus", "cactus", "rock"), 5, 0.6, 9, 260, 60)
        plants(p, 1, ("rock", "grass", "rock"), 0.9, 0.3, 3, 30, 8)
    if kind == "oasis":
        p.update(dune=uni(r, 12, 24), waterline=uni(r, 8, 12), base=14)
        plants(p, 0, ("palm", "palm", "palm"), 9, 0.75, 14, 320, 60, 1.0)
    return kind


@scene("forest", 1.3)
def forest(p, r, season):
    """Close trees."""
    base = [
        ("conifer", "conifer", "broadleaf"),
        ("broadleaf", "broadleaf", "birch"),
        ("birch", "birch", "conifer"),
        ("conifer",) * 3,
    ][r.integers(4)]
    p.update(
        L=600,
        fbm=uni(r, 8, 40),
        base=20,
        ridge=uni(r, 0, 140),
        env0=300,
        env1=1600,
        height=logu(r, 2.2, 26),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.1, 0.2),
    )
    ground(p, {"winter": "snow", "autumn": "autumn", "spring": "spring"}.get(season, "green"), r)
    p["snowline"] = -50 if season == "winter" else 1e4
    plants(p, 0, trees_for(season, base), uni(r, 12, 19), uni(r, 0.85, 1.0), 7, 700, 400)
    plants(
        p,
        1,
        {"winter": ("rock", "snowy_conifer", "rock"), "autumn": ("grass", "autumn", "rock")}.get(
            season, ("grass", "flowers", "grass")
        ),
        1.3,
        0.7,
        2.2,
        22,
        8,
    )
    return (
        {("birch", "birch", "conifer"): "birch", ("conifer",) * 3: "pine"}.get(base, "")
        if season in ("summer",)
        else ""
    )


@scene("meadow", 1.2)
def meadow(p, r, season):
    """Grass or flowers on rolling ground."""
    p.update(
        L=logu(r, 350, 900),
        fbm=uni(r, 18, 60),
        base=30,
        ridge=uni(r, 0, 160),
        env0=900,
        env1=3000,
        height=logu(r, 2.5, 16),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.05, 0.3),
        rocky=0.2,
    )
    ground(p, {"winter": "snow", "autumn": "autumn", "spring": "spring"}.get(season, "green"), r)
    p["snowline"] = -50 if season == "winter" else 1e4
    plants(
        p,
        0,
        trees_for(season, ("broadleaf", "broadleaf", "cypress")),
        uni(r, 7, 12),
        uni(r, 0.08, 0.3),
        25,
        900,
        90,
    )
    kind = r.choice(["", "flowers", "poppies"], p=[0.5, 0.3, 0.2]) if season in ("spring", "summer") else ""
    under = {"flowers": ("flowers",) * 3, "poppies": ("poppies",) * 3}.get(
        kind, ("grass", "flowers", "grass") if season in ("spring", "summer") else ("grass", "rock", "grass")
    )
    plants(p, 1, under, 1.0, uni(r, 0.8, 1.0), 2.2, 60 if kind else 24, 14)
    return kind


@scene("fields", 0.6)
def fields(p, r, season):
    """Lavender, wheat or poppies to the horizon."""
    kind = r.choice(["lavender", "wheat", "poppies"])
    p.update(
        L=900,
        fbm=uni(r, 8, 26),
        base=20,
        ridge=uni(r, 0, 120),
        env0=900,
        env1=2600,
        height=logu(r, 2.2, 6),
        tan=uni(r, 0.5, 0.7),
        horizon=uni(r, -0.05, 0.25),
        rocky=0,
        patch=0.2,
    )
    tint = {
        "lavender": [(104, 76, 150), (120, 90, 165), (120, 110, 100)],
        "wheat": [(204, 162, 78), (214, 176, 92), (120, 110, 100)],
        "poppies": [(122, 66, 38), (110, 96, 44), (120, 110, 100)],
    }[kind]
    ground(p, tint, r)
    plants(p, 0, ("broadleaf", "cypress", "cypress"), 11, uni(r, 0.05, 0.25), 40, 800, 120)
    plants(p, 1, (kind,), 0.95, 1.0, 2.0, 90, 300)
    return kind


@scene("snow", 1.0)
def snow(p, r, season):
    """Open snow."""
    p.update(
        L=1200,
        fbm=uni(r, 12, 50),
        base=20,
        ridge=uni(r, 0, 420),
        env0=400,
        env1=2400,
        dune=uni(r, 0, 6),
        dune_l=90,
        height=logu(r, 3, 20),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.05, 0.25),
        snowline=-50,
        rocky=0.6,
    )
    ground(p, "snow", r, 3)
    plants(p, 0, ("snowy_conifer", "snowy_conifer", "dead_tree"), uni(r, 9, 15), uni(r, 0, 0.6), 12, 800, 110)
    plants(p, 1, ("rock",), 0.8, 0.15, 3, 30, 10)
    return ""


@scene("village", 1.2)
def village(p, r, season):
    """Houses on gentle hills."""
    p.update(
        L=700,
        fbm=uni(r, 14, 34),
        base=20,
        ridge=uni(r, 60, 360),
        env0=500,
        env1=2200,
        height=logu(r, 6, 30),
        tan=uni(r, 0.5, 0.7),
        horizon=uni(r, -0.05, 0.3),
        rocky=0.3,
    )
    ground(p, {"winter": "snow", "autumn": "autumn", "spring": "spring"}.get(season, "green"), r)
    p["snowline"] = -50 if season == "winter" else 1e4
    home = "snowy_house" if season == "winter" else "house"
    plants(
        p, 0, (home, home, trees_for(season)[0]), uni(r, 9, 12), uni(r, 0.4, 0.75), uni(r, 16, 35), 500, 90
    )
    plants(p, 1, ("grass", "flowers", "grass") if season != "winter" else ("rock",), 1.0, 0.7, 2.5, 30, 10)
    return ""
