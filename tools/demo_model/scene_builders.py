"""One function per scene: the ground, the plants and the camera that it chooses at random."""

from __future__ import annotations

from tools.demo_model.scene_parts import ALIEN_GROUNDS, ground, logu, plants, scene, trees_for, uni


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


@scene("lake", 1.2)
def lake(p, r, season):
    """Still water below hills or mountains."""
    p.update(
        L=logu(r, 1300, 2600),
        ridge=uni(r, 120, 620),
        fbm=uni(r, 25, 60),
        env0=uni(r, 120, 400),
        env1=uni(r, 1100, 2600),
        base=uni(r, -9, -3),
        waterline=0,
        height=logu(r, 3, 18),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.05, 0.3),
        wave=uni(r, 0.15, 0.8),
    )
    ground(p, {"winter": "snow", "autumn": "autumn"}.get(season, "green"), r)
    p["snowline"] = -50 if season == "winter" else uni(r, 240, 500)
    plants(
        p,
        0,
        trees_for(season, ("conifer", "conifer", "broadleaf")),
        uni(r, 12, 18),
        uni(r, 0.5, 1.0),
        30,
        900,
        160,
    )
    plants(p, 1, ("reeds", "rock", "reeds") if season != "winter" else ("rock",), 1.5, 0.4, 3, 30, 10, 0.1)
    return ""


@scene("coast", 1.1)
def coast(p, r, season):
    """Rocks and cliffs on one side of the sea."""
    side = 1 if r.random() < 0.5 else -1
    p.update(
        L=logu(r, 300, 700),
        fbm=uni(r, 18, 46),
        base=uni(r, -20, -12),
        side=side * uni(r, 30, 80),
        side_x=side * uni(r, 0, 60),
        side_w=uni(r, 12, 60),
        waterline=0,
        height=logu(r, 5, 40),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.05, 0.3),
        wave=uni(r, 0.8, 2.0),
        terr=uni(r, 0, 0.8),
        terr_step=uni(r, 18, 40),
        beach=uni(r, 0, 1),
        rocky=1.2,
    )
    ground(p, "snow" if season == "winter" else "green", r)
    p["snowline"] = -50 if season == "winter" else 1e4
    plants(p, 0, ("broadleaf", "conifer", "conifer"), 10, uni(r, 0, 0.4), 40, 800, 120)
    plants(p, 1, ("grass", "rock", "flowers"), 0.9, 0.5, 3, 30, 9)
    return r.choice(["cliffs", "", "seaside"])


@scene("ocean", 0.7)
def ocean(p, r, season):
    """Open sea."""
    p.update(
        L=900,
        fbm=uni(r, 4, 10),
        base=-30,
        waterline=0,
        height=logu(r, 4, 30),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.1, 0.25),
        wave=uni(r, 1.0, 3.2),
    )
    ground(p, "green", r)
    return ""


@scene("island", 0.9)
def island(p, r, season):
    """One hill in the sea."""
    p.update(
        L=420,
        fbm=uni(r, 6, 16),
        base=-16,
        cone=uni(r, 36, 90),
        cone_r=uni(r, 170, 360),
        cone_x=uni(r, -90, 90),
        cone_z=uni(r, 320, 700),
        waterline=0,
        height=logu(r, 8, 60),
        tan=uni(r, 0.5, 0.7),
        horizon=uni(r, -0.05, 0.25),
        beach=1.0,
        wave=uni(r, 0.4, 1.2),
        turbid=0.8,
    )
    ground(p, "beach", r)
    plants(p, 0, ("palm", "palm", "broadleaf"), uni(r, 11, 15), uni(r, 0.5, 1.0), 120, 1000, 80, 1.2)
    return "tropical"


@scene("beach", 1.2)
def beach(p, r, season):
    """Sand and palms on one side of the sea."""
    side = 1 if r.random() < 0.5 else -1
    p.update(
        L=300,
        fbm=uni(r, 1.5, 3),
        base=uni(r, -4.5, -3),
        side=side * uni(r, 9, 14),
        side_x=side * uni(r, -14, 22),
        side_w=uni(r, 40, 90),
        waterline=0,
        height=logu(r, 2.5, 12),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, -0.05, 0.25),
        beach=1.5,
        wave=uni(r, 0.5, 1.4),
        turbid=0.9,
        rocky=0,
    )
    ground(p, "beach", r)
    plants(p, 0, ("palm", "palm", "palm"), uni(r, 9, 13), uni(r, 0.4, 0.8), 11, 400, 40, 0.5)
    plants(p, 1, ("grass", "rock", "grass"), 0.8, 0.2, 3, 30, 9, 0.6)
    return "tropical"


@scene("arctic", 0.7)
def arctic(p, r, season):
    """Icebergs."""
    p.update(
        L=logu(r, 150, 330),
        fbm=uni(r, 60, 110),
        base=uni(r, -34, -18),
        waterline=0,
        terr=0.55,
        terr_step=uni(r, 9, 18),
        height=logu(r, 4, 16),
        tan=uni(r, 0.5, 0.7),
        horizon=uni(r, -0.05, 0.2),
        snowline=-50,
        rocky=0.15,
        wave=uni(r, 0.1, 0.6),
        turbid=0.6,
    )
    ground(p, [(176, 208, 228), (206, 224, 238), (120, 180, 214)], r, 3)
    return "icebergs"


@scene("river", 1.1)
def river(p, r, season):
    """A river through a wooded valley."""
    p.update(
        L=logu(r, 900, 1800),
        ridge=uni(r, 60, 420),
        fbm=uni(r, 20, 55),
        env0=150,
        env1=1500,
        base=uni(r, 8, 16),
        waterline=0,
        river=40.0,
        river_w=uni(r, 9, 26),
        meander=uni(r, 25, 90),
        meander_l=uni(r, 250, 700),
        height=logu(r, 5, 60),
        tan=uni(r, 0.5, 0.75),
        horizon=uni(r, 0.0, 0.35),
        wave=uni(r, 0.3, 1.0),
    )
    ground(p, {"winter": "snow", "autumn": "autumn", "spring": "spring"}.get(season, "green"), r)
    p["snowline"] = -50 if season == "winter" else uni(r, 240, 500)
    plants(p, 0, trees_for(season), uni(r, 10, 16), uni(r, 0.4, 0.9), 25, 900, 120, 1.5)
    plants(p, 1, ("reeds", "grass", "rock"), 1.2, 0.5, 3, 30, 10, 0.2)
    return ""


@scene("waterfall", 1.0)
def waterfall(p, r, season):
    """A cliff with falling water."""
    p.update(
        L=240,
        fbm=uni(r, 5, 12),
        base=uni(r, -2, 0),
        waterline=0,
        cliff=uni(r, 55, 110),
        cliff_z=uni(r, 120, 210),
        fall_w=uni(r, 5, 16),
        cone_x=uni(r, -26, 26),
        height=logu(r, 6, 22),
        tan=uni(r, 0.5, 0.7),
        horizon=uni(r, -0.3, 0.05),
        rocky=1.3,
        terr=0.3,
        terr_step=9,
        wave=0.6,
    )
    ground(p, {"winter": "snow", "autumn": "autumn"}.get(season, "green"), r)
    p["snowline"] = -50 if season == "winter" else 1e4
    plants(
        p, 0, trees_for(season, ("conifer", "broadleaf", "conifer")), uni(r, 9, 14), 0.85, 40, 500, 120, 1.5
    )
    plants(p, 1, ("rock", "grass", "rock"), 2, 0.5, 8, 60, 10, 0.1)
    return ""


@scene("reef", 0.9)
def reef(p, r, season):
    """Corals under water."""
    p.update(
        L=90,
        fbm=uni(r, 3, 9),
        base=10,
        height=logu(r, 2, 7),
        tan=uni(r, 0.55, 0.75),
        horizon=uni(r, 0.0, 0.3),
        under=1.0,
        caustic=1.0,
        fog=1 / uni(r, 60, 120),
        rocky=0.4,
    )
    ground(p, "reef", r)
    plants(p, 0, ("coral", "kelp", "coral"), uni(r, 2.5, 5), uni(r, 0.6, 0.95), 4, 80, 14, -1e4)
    plants(p, 1, ("coral", "rock", "coral"), 1.2, 0.8, 2.0, 24, 6, -1e4)
    return ""


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
