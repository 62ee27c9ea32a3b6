"""What only some hosts can do is refused by the others, in one sentence, before anything is rendered."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from small_runs import SMALL, host

from deforum_helpers.core.errors import Problem, SettingsError
from deforum_helpers.core.messages import code_of
from deforum_helpers.pipeline.checks import ability_problems, host_name_of
from deforum_helpers.pipeline.host_facts import ControlNetFacts, own_facts
from deforum_helpers.pipeline.prepare import prepare
from deforum_helpers.settings.files import defaults, typed_settings

MODULES = ("None", "canny", "depth_midas", "reference_only")
MODELS = ("None", "control_v11p_sd15_canny [d14c016b]")
HAS = ControlNetFacts(modules=MODULES, models=MODELS, modules_without_model=("reference_only",))


def problems(controlnet: ControlNetFacts, lacks: dict[str, str], **changes: Any) -> list[Problem]:
    settings = typed_settings(defaults() | changes)
    return ability_problems(settings, host(Path("/nowhere"), controlnet=controlnet, lacks=lacks))


def test_a_feature_that_the_host_lacks_is_refused_where_it_is_switched_on() -> None:
    lacks = {"freeu_enabled": "This host has no FreeU."}
    assert problems(HAS, lacks) == []
    assert problems(HAS, {}, freeu_enabled=True) == []
    (problem,) = problems(HAS, lacks, freeu_enabled=True)
    assert problem.setting == "freeu_enabled"
    assert problem.message == "freeu_enabled is true: This host has no FreeU. Expected false here."


def test_faces_that_nothing_mends_are_left_out_and_told(tmp_path: Path) -> None:
    lacks = {"restore_faces": "This host mends no faces."}
    told = prepare(SMALL | {"restore_faces": True}, host(tmp_path, lacks=lacks))
    assert [one.setting for one in told.missing] == ["restore_faces"]
    (text,) = told.warnings
    assert code_of(text) == "left_out"
    assert "This host mends no faces." in text
    assert prepare(SMALL, host(tmp_path, lacks=lacks)).missing == ()
    assert prepare(SMALL | {"restore_faces": True}, host(tmp_path)).missing == ()


@pytest.mark.parametrize(
    "switched_on", [{"noise_source": "inverted"}, {"autoencoder_correction": True, "noise_schedule": "0:(0)"}]
)
def test_what_a_webui_lets_nobody_ask_of_its_model_is_told_before_the_video(
    switched_on: dict[str, Any], tmp_path: Path
) -> None:
    (name, *_) = switched_on

    def told(engine: str, changes: dict[str, Any]) -> list[str]:
        facts = host(tmp_path, engine=engine)
        return [text for text in prepare(SMALL | changes, facts).warnings if name in text]

    assert len(told("webui", switched_on)) == 1
    assert told("diffusers", switched_on) == []
    assert told("webui", {"noise_schedule": "0:(0)"}) == []
    assert told("webui", switched_on | {"animation_mode": "Interpolation"}) == []


def test_a_lora_that_is_not_there_is_told_before_the_video(tmp_path: Path) -> None:
    """It is left out; a wrong name is seen before hours of rendering."""
    (tmp_path / "Lora" / "mine").mkdir(parents=True)
    (tmp_path / "Lora" / "mine" / "ink.safetensors").touch()
    prompts = {"0": "a hill <lora:ink:1>", "3": "a <lora:chalk:0.5> hill --neg <lora:Ink:1>"}

    def told(engine: str) -> list[tuple[str | None, int | None, str]]:
        loras = own_facts(engine, str(tmp_path / "a.safetensors"), tmp_path).loras
        facts = host(tmp_path, loras=loras)
        found = prepare(SMALL | {"prompts": prompts, "max_frames": 5}, facts)
        assert all(any(one.found in text for text in found.warnings) for one in found.missing if one.found)
        return [(one.setting, one.frame, one.found or "") for one in found.missing]

    assert told("diffusers") == [("prompts", 3, "chalk"), ("prompts", 3, "Ink")]
    assert told("demo") == [("prompts", 0, "ink"), ("prompts", 3, "chalk"), ("prompts", 3, "Ink")]
    assert told("null") == []


@pytest.mark.parametrize(
    "tag", ["<lora:>", "<lora:ink:abc>", "<LoRA:ink:1>", "<lora:ink: 1>", "<lyco", "<lora:ink:1"]
)
def test_a_tag_that_calls_no_lora_is_told(tmp_path: Path, tag: str) -> None:
    prompts = {
        "0": "a loran <3 <lora:ink:1><lyco:ink:.5:1>",
        "3": f"a {tag} hill",
        "4": f"a --neg {tag} hill",
    }
    given = SMALL | {"prompts": prompts, "max_frames": 5}
    warnings = prepare(given, host(tmp_path, loras=lambda: ["ink"])).warnings
    assert len(warnings) == 1
    assert warnings[0].startswith("prompts, frame 3: '<")
    assert code_of(warnings[0]) == "lora_tag_malformed"
    assert prepare(given, host(tmp_path)).warnings == ()


def test_every_unit_that_is_on_is_told_that_there_is_no_controlnet() -> None:
    missing = ControlNetFacts(missing="This WebUI has no ControlNet.")
    assert problems(missing, {}) == []
    found = problems(missing, {}, cn_2_enabled=True, cn_5_enabled=True)
    assert [problem.setting for problem in found] == ["cn_2_enabled", "cn_5_enabled"]
    assert "This WebUI has no ControlNet." in found[0].message


@pytest.mark.parametrize(
    ("module", "model", "settings"),
    [
        ("canny", "control_v11p_sd15_canny [d14c016b]", []),
        ("Canny", "Control_v11p_sd15_canny", []),
        ("none", "control_v11p_sd15_canny [00000000]", []),
        ("reference_only", "None", []),
        ("canny", "None", ["cn_1_model"]),
        ("magic", "control_v11p_sd15_canny", ["cn_1_module"]),
        ("magic", "lost", ["cn_1_module", "cn_1_model"]),
    ],
)
def test_preprocessors_and_models_are_compared_with_those_of_the_host(
    module: str, model: str, settings: list[str]
) -> None:
    found = problems(HAS, {}, cn_1_enabled=True, cn_1_module=module, cn_1_model=model)
    assert [problem.setting for problem in found] == settings
    assert problems(ControlNetFacts(), {}, cn_1_enabled=True, cn_1_module=module, cn_1_model=model) == []


def test_the_names_that_are_there_are_listed() -> None:
    (problem,) = problems(HAS, {}, cn_1_enabled=True, cn_1_module="canny", cn_1_model="lost")
    assert "'lost'" in problem.message
    assert problem.allowed == "control_v11p_sd15_canny [d14c016b]"
    many = ControlNetFacts(models=tuple(f"model {number}" for number in range(99)))
    (problem,) = problems(many, {}, cn_1_enabled=True, cn_1_model="lost")
    assert len(problem.message) < 700
    none = ControlNetFacts(models=("None",))
    (problem,) = problems(none, {}, cn_1_enabled=True, cn_1_model="lost")
    assert "there is no ControlNet model" in problem.message


def test_an_exact_name_outranks_a_similar_one() -> None:
    names = ("CANNY", "canny", "canny [1a2b]")
    assert [host_name_of(name, names) for name in names] == list(names)
    assert host_name_of("Canny", names) == "CANNY"
    assert host_name_of("depth", names) is None


class TestNamesOfAHost:
    FACTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "samplers": ("Euler a", "Res Multistep", "euler"),
        "schedulers": ("Automatic", "Bong Tangent"),
    }

    def sampler(self, tmp_path: Path, **changes: Any) -> tuple[str, str]:
        made = prepare({**SMALL, **changes}, host(tmp_path, **self.FACTS))
        return made.plan.key_frames[0].request.sampler, made.plan.key_frames[0].request.scheduler

    def test_names_that_only_the_host_has_are_taken_as_they_are(self, tmp_path: Path) -> None:
        asked = {"sampler": "Res Multistep", "scheduler": "Bong Tangent"}
        assert self.sampler(tmp_path, **asked) == ("Res Multistep", "Bong Tangent")
        assert self.sampler(tmp_path, sampler="res multistep")[0] == "Res Multistep"
        # An exact name of the host is not read as a name that we know from elsewhere.
        assert self.sampler(tmp_path, sampler="euler")[0] == "euler"
        scheduled = {"enable_sampler_scheduling": True, "sampler_schedule": '0: ("Res Multistep")'}
        assert self.sampler(tmp_path, **scheduled)[0] == "Res Multistep"

    def test_names_that_the_host_lacks_are_refused_with_a_list_of_its_own(self, tmp_path: Path) -> None:
        for setting, name in (("sampler", "Heun"), ("sampler", "Magic"), ("scheduler", "Karras")):
            with pytest.raises(SettingsError) as refused:
                self.sampler(tmp_path, **{setting: name})
            (problem,) = refused.value.problems
            assert problem.setting == setting
            assert ", ".join(self.FACTS[f"{setting}s"]) in str(problem.allowed)
