"""A control is shown exactly where its setting acts."""

from __future__ import annotations

from typing import Any

import pytest

from deforum_helpers.core.messages import code_of
from deforum_helpers.settings import FIELDS, defaults
from deforum_helpers.settings.modes import acts
from deforum_helpers.ui.controls import NAMES, hidden_names
from deforum_helpers.ui.layout import IDLE, sections


def shown(name: str, **values: Any) -> bool:
    return name not in hidden_names(defaults() | values)


@pytest.mark.parametrize(
    ("name", "where", "where_not"),
    [
        ("max_frames", {}, {"animation_mode": "Video Input"}),
        ("diffusion_cadence", {"animation_mode": "3D"}, {"animation_mode": "Interpolation"}),
        ("use_looper", {"animation_mode": "2D"}, {"animation_mode": "Video Input"}),
        ("zoom", {"animation_mode": "2D"}, {"animation_mode": "3D"}),
        ("angle", {"animation_mode": "2D"}, {"animation_mode": "3D"}),
        ("translation_x", {"animation_mode": "3D"}, {"animation_mode": "Interpolation"}),
        ("translation_z", {"animation_mode": "3D"}, {"animation_mode": "2D"}),
        ("rotation_3d_y", {"animation_mode": "3D"}, {"animation_mode": "2D"}),
        ("fov_schedule", {"animation_mode": "3D"}, {"animation_mode": "2D"}),
        ("use_depth_warping", {"animation_mode": "3D"}, {"animation_mode": "2D"}),
        ("perspective_flip_theta", {"enable_perspective_flip": True}, {}),
        (
            "perspective_flip_fv",
            {"enable_perspective_flip": True},
            {"enable_perspective_flip": True, "animation_mode": "Interpolation"},
        ),
        ("noise_schedule", {}, {"animation_mode": "Video Input"}),
        (
            "noise_multiplier_schedule",
            {"animation_mode": "Interpolation"},
            {"enable_noise_multiplier_scheduling": False},
        ),
        ("color_force_grayscale", {}, {"animation_mode": "Interpolation"}),
        ("perlin_octaves", {"noise_type": "perlin"}, {"noise_type": "uniform"}),
        ("seed_iter_N", {"seed_behavior": "iter"}, {"seed_behavior": "fixed"}),
        ("seed_schedule", {"seed_behavior": "schedule"}, {"seed_behavior": "iter"}),
        ("color_coherence_image_path", {"color_coherence": "Image"}, {"color_coherence": "LAB"}),
        (
            "color_coherence_video_every_N_frames",
            {"color_coherence": "Video Input", "animation_mode": "Video Input"},
            {"color_coherence": "Video Input"},
        ),
        ("optical_flow_cadence", {"diffusion_cadence": 2}, {"diffusion_cadence": 1}),
        (
            "cadence_flow_factor_schedule",
            {"diffusion_cadence": 2, "optical_flow_cadence": "RAFT"},
            {"diffusion_cadence": 1, "optical_flow_cadence": "RAFT"},
        ),
        ("redo_flow_factor_schedule", {"optical_flow_redo_generation": "RAFT"}, {}),
        (
            "midas_weight",
            {"animation_mode": "3D", "depth_algorithm": "Zoe+AdaBins (old)"},
            {"animation_mode": "3D", "depth_algorithm": "Midas-3-Hybrid"},
        ),
        ("cn_2_vid_path", {"cn_2_enabled": True}, {"cn_2_enabled": True, "cn_2_loopback_mode": True}),
        ("make_gif", {"fps": 31}, {"skip_video_creation": True}),
        ("seed_schedule", {"use_looper": True}, {}),
        ("seed_behavior", {}, {"use_looper": True}),
        ("depth_algorithm", {"save_depth_maps": True}, {}),
        ("border", {}, {"animation_mode": "3D", "enable_perspective_flip": True}),
        ("padding_mode", {"animation_mode": "3D", "depth_warp": "exact", "seamless_loop": True}, {}),
        ("legacy_colormatch", {}, {"animation_mode": "Video Input"}),
        ("sampler", {}, {"enable_sampler_scheduling": True}),
        ("video_init_path", {"add_soundtrack": "Init Video"}, {}),
        ("mask_file", {"use_mask": True}, {"use_mask": True, "mask_schedule": '0: ("{everywhere}")'}),
        ("strength", {"use_looper": True}, {}),
        ("soundtrack_path", {"add_soundtrack": "File"}, {"add_soundtrack": "None"}),
        ("r_upscale_model", {"r_upscale_video": True}, {}),
        ("frame_interpolation_x_amount", {"frame_interpolation_engine": "FILM"}, {}),
        (
            "frame_interpolation_slow_mo_amount",
            {"frame_interpolation_engine": "FILM", "frame_interpolation_slow_mo_enabled": True},
            {"frame_interpolation_engine": "FILM"},
        ),
        ("hybrid_motion", {"animation_mode": "2D"}, {"animation_mode": "Interpolation"}),
        ("hybrid_flow_method", {"hybrid_motion": "Optical Flow"}, {"hybrid_motion": "Affine"}),
        (
            "hybrid_consistency_blur",
            {"hybrid_motion": "Optical Flow", "hybrid_flow_consistency": True},
            {"hybrid_motion": "Optical Flow"},
        ),
        ("hybrid_comp_mask_type", {"hybrid_composite": "Normal"}, {"hybrid_composite": "None"}),
        (
            "hybrid_comp_mask_contrast_schedule",
            {"hybrid_composite": "Normal", "hybrid_comp_mask_type": "Depth"},
            {"hybrid_composite": "Normal"},
        ),
        ("enable_ddim_eta_scheduling", {"sampler": "DDIM"}, {"sampler": "Euler a"}),
        ("enable_ancestral_eta_scheduling", {"sampler": "DPM++ 2S a Karras"}, {"sampler": "DDIM"}),
        ("ancestral_eta_schedule", {"enable_ancestral_eta_scheduling": True}, {}),
        ("cn_2_model", {"cn_2_enabled": True}, {"cn_1_enabled": True}),
        ("freeu_b1", {"freeu_enabled": True}, {}),
        ("resume_timestring", {"resume_from_timestring": True}, {}),
    ],
)
def test_a_control_is_shown_where_it_does_something(
    name: str, where: dict[str, Any], where_not: dict[str, Any]
) -> None:
    assert shown(name, **where)
    assert not shown(name, **where_not)


def test_the_switches_themselves_never_hide() -> None:
    for name in (
        "animation_mode",
        "sampler",
        "use_init",
        "fps",
        "cn_1_enabled",
        "skip_video_creation",
        "noise_type",
    ):
        assert shown(name, animation_mode="3D", skip_video_creation=True)


@pytest.mark.parametrize("mode", FIELDS["animation_mode"].choices)
@pytest.mark.parametrize("switched", [False, True])
def test_a_control_is_hidden_exactly_where_its_setting_does_not_act(mode: str, switched: bool) -> None:
    """With all switches off and all on, in every mode: what is hidden changes nothing, and the rest does."""
    flat = defaults() | {name: switched for name, info in FIELDS.items() if info.kind == "bool"}
    flat |= {"animation_mode": mode}
    assert set(hidden_names(flat)) == {name for name in NAMES if not acts(name, flat)}


@pytest.mark.parametrize("mode", FIELDS["animation_mode"].choices)
@pytest.mark.parametrize(
    "switches", [(), ("use_looper",), ("use_mask_video", "skip_video_creation"), ("enable_steps_scheduling",)]
)
def test_a_place_without_a_control_says_why(mode: str, switches: tuple[str, ...]) -> None:
    gone = set(hidden_names(defaults() | dict.fromkeys(switches, True) | {"animation_mode": mode}))
    places = {tab.title: [name for line in tab.lines for name in line] for tab in sections()}
    for tab in sections():
        for shape, inside in tab.groups:
            for one in inside:
                names = [name for line in one.lines for name in line]
                places[tab.title] += names
                if shape == "tabs" and names:
                    places[f"{tab.title} > {one.title}"] = names
    empty = {place for place, names in places.items() if names and set(names) <= gone}
    assert empty <= set(IDLE)
    assert len({code_of(note) for note in IDLE.values()} - {""}) == len(IDLE)


@pytest.mark.parametrize("nonsense", [None, "", "x", 1e400, -1, [], {}])
def test_half_typed_values_hide_nothing_by_an_error(nonsense: object) -> None:
    assert isinstance(hidden_names(dict.fromkeys(FIELDS, nonsense)), tuple)
