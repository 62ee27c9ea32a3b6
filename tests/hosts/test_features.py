"""ControlNet, FreeU, Kohya HRFix and the mending of faces, done by the host's own scripts."""

from __future__ import annotations

import importlib
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from deforum_helpers.core.errors import MissingFeature, ModelError, RenderError
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import Control, FreeU, GenerateRequest, KohyaHRFix
from deforum_helpers.webui import messages
from deforum_helpers.webui.controlnet import fitted
from deforum_helpers.webui.engine import HostEngine
from deforum_helpers.webui.facts import host_facts
from tests.refusals import refuses

FREEU = "FreeU Integrated (SD 1.x, SD 2.x, SDXL)"
HRFIX = "Kohya HRFix Integrated"
WITH_EXTENSION = pytest.mark.parametrize("extensions", [("fake_extension",)])
IMAGE = torch.linspace(0, 1, 3 * 30 * 40).reshape(3, 30, 40)


def control(**changes: Any) -> Control:
    plain: dict[str, Any] = {
        "unit": 2,
        "module": "Canny",
        "model": "control_v11p_sd15_canny",
        "image": IMAGE,
        "mask": None,
        "weight": 0.75,
        "guidance_start": 0.1,
        "guidance_end": 0.8,
        "control_mode": "My prompt is more important",
        "resize_mode": "Outer Fit (Shrink to Fit)",
        "low_vram": True,
        "pixel_perfect": True,
        "processor_res": 256,
        "threshold_a": 90.0,
        "threshold_b": 180.0,
    }
    return Control(**(plain | changes))


def generate(**changes: Any) -> torch.Tensor:
    request = GenerateRequest("a lake", "", 64, 48, 5, 3, 7.0, "Euler a", **changes)
    return HostEngine().generate(request, CancelToken())


def units(host: Any) -> list[Any]:
    return [unit for title, _, given in host.scripts.seen if title == "ControlNet" for unit in given]


@WITH_EXTENSION
class TestControlNet:
    @pytest.mark.parametrize("init", [None, torch.rand(3, 48, 64)])
    def test_a_unit_reaches_the_hosts_controlnet_whole(self, host: Any, init: torch.Tensor | None) -> None:
        generate(controls=(control(), control(unit=3, module="none")), init_image=init)
        first, second = units(host)
        assert (first.module, first.model) == ("canny", "control_v11p_sd15_canny [d14c016b]")
        assert second.module == ("None" if host.forge else "none")
        assert (first.weight, first.guidance_start, first.guidance_end) == (0.75, 0.1, 0.8)
        assert (first.resize_mode, first.control_mode) == ("Resize and Fill", "My prompt is more important")
        assert (first.pixel_perfect, first.processor_res) == (True, 256)
        assert (first.threshold_a, first.threshold_b, first.save_detected_map) == (90.0, 180.0, False)
        assert first.enabled
        image = first.image if host.forge else first.image["image"]
        assert np.array_equal(image, (IMAGE * 255).round().byte().permute(1, 2, 0).numpy())
        assert not first.image_fg.any() if host.forge else first.low_vram

    def test_five_units_fit_where_the_page_has_three(self, host: Any) -> None:
        generate(controls=tuple(control(unit=number, weight=number / 5) for number in range(1, 6)))
        assert [unit.weight for unit in units(host)] == [0.2, 0.4, 0.6, 0.8, 1.0]

    def test_a_mask_says_where_the_unit_acts(self, host: Any) -> None:
        mask = torch.zeros(30, 40)
        mask[:, 20:] = 1
        generate(controls=(control(mask=mask),))
        (unit,) = units(host)
        if host.forge:
            assert unit.mask_image.shape == (30, 40, 3)
            assert (unit.mask_image[:, 20:] == 255).all()
            assert not unit.mask_image[:, :20].any()
        else:
            # Beside the image, it would be taken for a drawing to steer by.
            assert not unit.image["mask"].any()
            assert unit.effective_region_mask.shape == (48, 64, 3)
            assert (unit.effective_region_mask[:, 34:] == 255).all()
            assert not unit.effective_region_mask[:, :30].any()

    def test_inpainting_reads_the_mask_beside_the_image(self, host: Any) -> None:
        mask = torch.zeros(15, 20)
        mask[:5] = 1
        generate(controls=(control(module="inpaint_global_harmonious", mask=mask),))
        (unit,) = units(host)
        beside = unit.mask_image if host.forge else unit.image["mask"]
        assert beside[0, 0, 0] == 255
        assert beside[-1, -1, 0] == 0
        assert host.forge or (beside.shape == (30, 40, 3) and unit.effective_region_mask is None)

    def test_a_unit_that_acts_nowhere_or_never_is_left_out(self, host: Any) -> None:
        nowhere, never = control(mask=torch.zeros(30, 40)), control(guidance_start=0.9)
        generate(controls=(nowhere, never))
        assert units(host) == []
        generate(controls=(nowhere, control(weight=0.5)))
        assert [unit.weight for unit in units(host)] == [0.5]

    def test_a_failure_of_controlnet_is_told_before_what_follows_from_it(self, host: Any) -> None:
        host.scripts.errors["ControlNet"] = RuntimeError("wrong model")

        def consequence(_step: int) -> None:
            raise AttributeError("'NoneType' object has no attribute 'shape'")

        host.processing.behaviour.at_step = consequence
        with pytest.raises(RenderError, match="ControlNet failed: RuntimeError: wrong model"):
            generate(controls=(control(),))
        with pytest.raises(RenderError, match="failed to generate: AttributeError"):
            generate(controls=(control(),))

    def test_a_failure_that_the_host_hides_is_no_frame(self, host: Any) -> None:
        host.scripts.errors["ControlNet"] = RuntimeError("wrong\nmodel")
        with pytest.raises(RenderError, match="ControlNet failed: RuntimeError: wrong model"):
            generate(controls=(control(),))
        assert generate(controls=(control(),)).std() > 0.01

    def test_what_the_host_refuses_names_the_unit(self, host: Any) -> None:
        if host.forge:
            pytest.skip("Forge's unit checks nothing")
        with pytest.raises(RenderError, match=r"cn_2_enabled: the WebUI's ControlNet refuses.*weight"):
            generate(controls=(control(weight=3.0),))

    def test_other_scripts_stay_out_and_nothing_stays_changed(self, host: Any) -> None:
        runners = (host.scripts.scripts_txt2img, host.scripts.scripts_img2img)
        before = [(dict(vars(script)), script) for runner in runners for script in runner.alwayson_scripts]
        generate(controls=(control(),))
        assert {title for title, _, _ in host.scripts.seen} == {"ControlNet"}
        assert all(vars(script) == old for old, script in before)
        assert [runner.callback_map for runner in runners] == [{}, {}]

    def test_the_host_tells_its_preprocessors_and_models(self, host: Any) -> None:
        facts = host_facts().controlnet
        assert facts.missing is None
        assert "canny" in facts.modules
        assert facts.models == ("None", "control_v11p_sd15_canny [d14c016b]")
        assert facts.modules_without_model == ("reference_only",)

    def test_an_extension_too_old_for_masks_says_so(self, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        if host.forge:
            pytest.skip("Forge has always had masks")

        class OldUnit:
            def __init__(
                self, enabled: bool = True, module: str = "none", image: Any = None, weight: float = 1
            ):
                self.module, self.image, self.weight = module, image, weight

        code = __import__("internal_controlnet.external_code").external_code
        monkeypatch.setattr(code, "ControlNetUnit", OldUnit)
        generate(controls=(control(),))
        assert units(host)[0].image["image"].shape == (30, 40, 3)
        with pytest.raises(MissingFeature, match="cn_2_mask_vid_path: this version"):
            generate(controls=(control(mask=torch.ones(30, 40)),))


class TestWithoutControlNet:
    def test_it_is_one_sentence_that_says_what_to_do(self, host: Any) -> None:
        if host.forge:
            host.scripts.scripts_img2img.alwayson_scripts.pop(1)
            host.scripts.scripts_txt2img.alwayson_scripts.pop(1)
        missing = host_facts().controlnet.missing
        assert missing is not None
        assert (
            "sd_forge_controlnet" if host.forge else "install the extension sd-webui-controlnet"
        ) in missing
        with pytest.raises(MissingFeature, match="cn_2_enabled: "):
            generate(controls=(control(),))
        assert generate().std() > 0.01


class TestInsideTheUNet:
    FIX: ClassVar = KohyaHRFix(3, 2.5, 0.1, 0.4, True, "bicubic", "area")

    def test_forges_own_scripts_get_the_numbers(self, host: Any) -> None:
        if not host.forge:
            pytest.skip("Forge's own")
        assert host_facts().lacks == {}
        generate(freeu=FreeU(1.1, 1.2, 0.9, 0.8), kohya_hrfix=self.FIX, init_image=torch.rand(3, 48, 64))
        given = {title: arguments for title, _, arguments in host.scripts.seen}
        assert given == {
            FREEU: (True, 1.1, 1.2, 0.9, 0.8, 0.0, 1.0),
            HRFIX: (True, 3, 2.5, 0.1, 0.4, True, "bicubic", "area"),
        }

    def test_other_hosts_say_that_forge_has_them(self, host: Any) -> None:
        if host.forge:
            pytest.skip("of hosts without")
        lacks = host_facts().lacks
        assert {name: code_of(reason) for name, reason in lacks.items()} == dict.fromkeys(
            ("freeu_enabled", "kohya_hrfix_enabled"), "webui_only_in_forge"
        )
        with refuses(MissingFeature, "webui_only_in_forge", "kohya_hrfix_enabled: ", "Kohya HRFix"):
            generate(kohya_hrfix=self.FIX)


class TestFaces:
    def test_the_host_mends_them(self, host: Any) -> None:
        generate()
        generate(restore_faces=True)
        assert host.shared.face_restorers[0].restored == 1
        assert [call["restore_faces"] for call in host.processing.calls] == [False, True]

    def test_a_model_that_did_not_load_is_no_frame(self, host: Any) -> None:
        host.shared.face_restorers[0].loads = False
        with pytest.raises(
            ModelError, match="restore_faces: the WebUI could not load its model 'CodeFormer'"
        ):
            generate(restore_faces=True)

    @pytest.mark.parametrize("choice", ["None", "GFPGAN"])
    def test_without_a_model_it_is_refused(self, host: Any, choice: str) -> None:
        host.shared.opts.set("face_restoration_model", choice)
        assert "Settings, Face restoration" in host_facts().lacks["restore_faces"]


@pytest.mark.parametrize(
    ("mode", "white"),
    [
        ("Just Resize", [(0, 4), (7, 7)]),
        ("Inner Fit (Scale to Fit)", [(0, 4), (7, 7)]),
        ("Outer Fit (Shrink to Fit)", [(2, 4), (5, 7)]),
    ],
)
def test_a_mask_is_fitted_as_the_image_is(mode: str, white: list[tuple[int, int]]) -> None:
    mask = np.zeros((4, 8, 3), np.uint8)
    mask[:, 4:] = 255
    whole = fitted(mask, mode, (8, 8))
    assert whole.shape == (8, 8, 3)
    lit = np.argwhere(whole[..., 0] > 127)
    assert [tuple(lit.min(0)), tuple(lit.max(0))] == white


class TestControlNetThatIsNotThere:
    """What is told is why: not installed, switched off, or installed and broken."""

    def extension(self, host: Any, *, enabled: bool) -> Any:
        folder = host.folder / "extensions" / "sd-webui-controlnet"
        (folder / "scripts").mkdir(parents=True)
        (folder / "scripts" / "controlnet.py").touch()
        found = SimpleNamespace(name="sd-webui-controlnet", path=str(folder), enabled=enabled)
        importlib.import_module("modules.extensions").extensions[:] = [found]
        return found

    def missing(self) -> str:
        found = host_facts().controlnet
        assert found is not None
        assert found.missing is not None
        return found.missing

    def test_switched_off(self, host: Any) -> None:
        if not host.forge:
            self.extension(host, enabled=False)
            assert self.missing() == messages.CONTROLNET_DISABLED(name="sd-webui-controlnet")

    def test_not_installed(self, host: Any) -> None:
        if not host.forge:
            assert code_of(self.missing()) == "webui_controlnet_not_installed"

    def test_one_that_failed_to_load_is_told_with_its_own_error(self, host: Any) -> None:
        if host.forge:
            pytest.skip("its ControlNet is there")
        folder = self.extension(host, enabled=True).path
        records = importlib.import_module("modules.errors").exception_records
        assert code_of(self.missing()) == "webui_controlnet_not_loaded"
        records += [
            {"exception": "another's", "traceback": [["/other/scripts/x.py, line 1, <module>", "import x"]]},
            {
                "exception": f"cannot import name 'a'\nfrom 'b' ({folder}/b.py)",
                "traceback": [
                    ["/host/modules/script_loading.py, line 13, load_module", "exec"],
                    [f"{folder}/scripts/controlnet.py, line 16, <module>", "from b import a"],
                ],
            },
        ]
        reason = ": cannot import name 'a' from 'b' (b.py)"
        said = self.missing()
        assert said == messages.CONTROLNET_NOT_LOADED(name="sd-webui-controlnet", reason=reason)
        assert str(host.folder) not in said
        with refuses(MissingFeature, "webui_controlnet_not_loaded", "cn_2_enabled: ", reason):
            generate(controls=(control(),))
