"""Scene builders at, on or under water."""

from __future__ import annotations

from tools.demo_model.scene_parts import ground, logu, plants, scene, trees_for, uni


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
