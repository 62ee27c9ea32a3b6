"""The host's model as an engine: same images for same requests, nothing left changed in the host."""

from __future__ import annotations

import copy
import importlib
import json
import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from deforum_helpers.core.errors import Cancelled, ModelError, OutOfMemory, Parked, RenderError
from deforum_helpers.core.messages import code_of
from deforum_helpers.core.progress import CancelToken
from deforum_helpers.engines.base import GenerateRequest
from deforum_helpers.webui import engine as host_engine
from deforum_helpers.webui import generation, pages
from deforum_helpers.webui.engine import HostEngine, exclusive_device

WAIT_S = 120.0


def request_for(**changes: Any) -> GenerateRequest:
    plain = {
        "prompt": "a lake",
        "negative_prompt": "fog",
        "width_px": 64,
        "height_px": 48,
        "seed": 5,
        "steps": 3,
    }
    return GenerateRequest(**{**plain, "cfg_scale": 7.0, "sampler": "Euler a", **changes})


def generate(engine: HostEngine, **changes: Any) -> torch.Tensor:
    return engine.generate(request_for(**changes), CancelToken())


def in_background(work: Callable[[], Any]) -> tuple[threading.Thread, list[Any]]:
    """Run `work`; the list gets its result or its exception."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


def elsewhere(work: Callable[[], Any]) -> Any:
    """Run `work` in a thread of its own, as hosts do for each of their users, and return its result."""
    thread, outcome = in_background(work)
    thread.join(WAIT_S)
    assert not isinstance(outcome[0], Exception), outcome[0]
    return outcome[0]


def foreign_image(host: Any, **changes: Any) -> bytes:
    """Let another user generate."""
    theirs = host.processing.StableDiffusionProcessingTxt2Img(prompt="theirs", steps=1, seed=77, **changes)
    with host.call_queue.queue_lock:
        return bytes(host.processing.process_images(theirs).images[0].tobytes())


def shared_states(host: Any) -> tuple[Any, ...]:
    """What the generators that the whole host shares would give next."""
    rng = importlib.import_module("modules.rng")
    nv = rng.nv_rng and rng.nv_rng.bit_generator.state
    return torch.get_rng_state().tolist(), str(np.random.get_state()), str(nv)


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("hosts", "ours"),
    [("cuda:1", "cuda:1"), ("mps", "mps"), ("xpu", "xpu"), ("cpu", "cpu"), ("privateuseone:0", "cpu")],
)
def test_depth_and_flow_models_run_on_the_hosts_device(
    host: Any, monkeypatch: pytest.MonkeyPatch, hosts: str, ours: str
) -> None:
    monkeypatch.setattr(host.devices, "get_optimal_device", lambda: hosts)
    monkeypatch.setattr(host_engine, "_unload", lambda: lambda: None)
    assert str(HostEngine().device) == ours
    with exclusive_device(CancelToken()) as device:
        assert str(device) == ours


class TestImages:
    def test_the_same_request_gives_the_same_image(self, host: Any) -> None:
        first, second = generate(HostEngine()), generate(HostEngine())
        assert first.shape == (3, 48, 64)
        assert first.dtype == torch.float32
        assert torch.equal(first, second)
        assert not torch.equal(first, generate(HostEngine(), seed=6))
        assert not torch.equal(first, generate(HostEngine(), clip_skip=2))

    def test_sizes_off_the_hosts_multiple_are_padded_and_cut(self, host: Any) -> None:
        init = torch.rand(3, 41, 67)
        generated = generate(HostEngine(), width_px=67, height_px=41, init_image=init, denoising_strength=0.0)
        assert generated.shape == (3, 41, 67)
        assert (generated - init).abs().max() <= 0.5 / 255 + 1e-6
        assert (host.processing.calls[-1]["width"], host.processing.calls[-1]["height"]) == (72, 48)

    def test_the_request_reaches_the_host_whole(self, host: Any) -> None:
        request = {
            "sampler": "DPM++ 2M Karras",
            "seed": 2**32 - 1,
            "subseed": 8,
            "subseed_strength": 0.25,
            "seed_resize_from_px": (32, 16),
            "steps": 4,
            "cfg_scale": 3.5,
            "distilled_cfg_scale": 2.5,
            "clip_skip": 2,
            "noise_multiplier": 0.9,
            "eta": 0.3,
            "tiling": True,
            "init_image": torch.rand(3, 48, 64),
            "denoising_strength": 0.4,
            "image_cfg_scale": 2.0,
        }
        generate(HostEngine(), **request)
        (call,) = host.processing.calls
        same = (
            "seed",
            "subseed",
            "subseed_strength",
            "steps",
            "cfg_scale",
            "eta",
            "tiling",
            "denoising_strength",
            "image_cfg_scale",
        )
        assert {name: call[name] for name in same} == {name: request[name] for name in same}
        assert (call["sampler_name"], call["scheduler"]) == ("DPM++ 2M", "Karras")
        assert (call["seed_resize_from_w"], call["seed_resize_from_h"]) == (32, 16)
        assert call["initial_noise_multiplier"] == 0.9
        assert call["options"]["CLIP_stop_at_last_layers"] == 2
        assert call["options"]["img2img_fix_steps"] is False
        assert call["do_not_save_samples"]
        assert call["do_not_save_grid"]
        assert call.get("distilled_cfg_scale") == (2.5 if host.forge else None)

    def test_a_mask_is_passed_as_a_soft_one(self, host: Any) -> None:
        mask = torch.zeros(48, 64)
        mask[:, 32:] = 0.5
        generate(HostEngine(), init_image=torch.rand(3, 48, 64), mask=mask, mask_content="nothing")
        (call,) = host.processing.calls
        assert np.unique(np.asarray(call["mask"])).tolist() == [0, 128]
        assert (call["inpainting_fill"], call["mask_round"], call["mask_blur_x"]) == (3, False, 0)

    def test_an_unset_subseed_is_not_drawn_anew(self, host: Any) -> None:
        generate(HostEngine(), subseed=-1, subseed_strength=0.5)
        assert host.processing.calls[0]["subseed"] >= 0

    def test_older_hosts_have_the_scheduler_in_the_samplers_name(
        self, host: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "modules.sd_schedulers", None)
        monkeypatch.setitem(host.sd_samplers.all_samplers_map, "DPM++ 2M Karras", object())
        generate(HostEngine(), sampler="DPM++ 2M", scheduler="Karras")
        generate(HostEngine(), sampler="DPM++ 2M Karras")
        assert [call["sampler_name"] for call in host.processing.calls] == ["DPM++ 2M Karras"] * 2
        with pytest.raises(ModelError, match=r"no scheduler 'Karras' for 'Euler'"):
            generate(HostEngine(), sampler="Euler", scheduler="Karras")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sampler": "Magic"}, "no sampler 'Magic'; expected one of: DPM"),
            ({"scheduler": "Magic"}, "no scheduler 'Magic'"),
            ({"checkpoint": "third"}, "no checkpoint 'third'; expected one of: first.safetensors, second"),
            ({"vae": "hard.pt"}, "no VAE 'hard.pt'; expected one of: soft"),
        ],
    )
    def test_names_that_the_host_lacks_are_never_replaced(
        self, host: Any, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ModelError, match=message):
            generate(HostEngine(), **changes)
        assert not host.processing.calls
        assert host.call_queue.queue_lock.acquire(False)

    def test_what_the_host_leaves_out_is_warned_about(
        self, host: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        networks = type("Networks", (), {"available_networks": {"hills": 1}, "available_network_aliases": {}})
        monkeypatch.setitem(sys.modules, "networks", networks)
        request = request_for(prompt="<lora:hills:1> <lora:lakes:0.5>")
        found = HostEngine().warnings(request)
        (told,) = (text for text in found if code_of(text) == "webui_lora_missing")
        assert "'lakes'" in told
        assert HostEngine().warnings(request_for()) == ()


class TestNothingStaysChanged:
    def test_options_come_back_even_those_that_were_never_set(self, host: Any) -> None:
        host.shared.opts.data["eta_ancestral"] = 0.5
        host.shared.opts.data["img2img_color_correction"] = True
        before = copy.deepcopy(host.shared.opts.data)
        generate(HostEngine(), clip_skip=3, checkpoint="second", vae="soft.safetensors")
        assert host.shared.opts.data == before
        assert host.processing.calls[0]["options"]["img2img_color_correction"] is False

    @pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
    def test_options_come_back_after_errors(self, host: Any, error: BaseException) -> None:
        before = copy.deepcopy(host.shared.opts.data)
        generate(HostEngine())
        host.processing.behaviour.error = error
        with pytest.raises((RenderError, KeyboardInterrupt)):
            generate(HostEngine(), clip_skip=3, checkpoint="second", vae="soft.safetensors")
        assert host.shared.opts.data == before
        assert host.sd_vae.loaded == "Automatic"
        assert host.shared.state.job == ""
        assert host.call_queue.queue_lock.acquire(False)

    def test_what_a_user_sets_meanwhile_is_kept(self, host: Any) -> None:
        for chosen in (7, 3):  # the second one is what our frame has as well
            host.processing.behaviour.at_step = lambda _step, chosen=chosen: elsewhere(
                lambda: host.shared.opts.set("CLIP_stop_at_last_layers", chosen)
            )
            generate(HostEngine(), clip_skip=3)
            assert host.shared.opts.CLIP_stop_at_last_layers == chosen
            assert host.processing.calls[-1]["options"]["CLIP_stop_at_last_layers"] == 3

    def test_nobody_else_sees_or_saves_what_holds_for_us(self, host: Any, tmp_path: Any) -> None:
        host.shared.opts.data["CLIP_stop_at_last_layers"] = 2
        before = dict(host.shared.opts.data)
        seen: list[Any] = []

        def look(_step: int) -> None:
            options = host.shared.opts
            options.save(tmp_path / "config.json")
            held = dict(dict.items(options.data))  # as readers written in C take it
            seen.append(
                (options.CLIP_stop_at_last_layers, dict(options.data), held, json.dumps(options.data))
            )

        host.processing.behaviour.at_step = lambda step: elsewhere(lambda: look(step))
        generate(HostEngine(), clip_skip=9, checkpoint="second", vae="soft.safetensors")
        assert seen == [(2, before, before, json.dumps(before))] * 3
        assert json.loads((tmp_path / "config.json").read_text()) == before

    def test_options_that_the_host_reads_anew_meanwhile_stay(self, host: Any) -> None:
        read = {"CLIP_stop_at_last_layers": 4}
        host.processing.behaviour.at_step = lambda _step: setattr(host.shared.opts, "data", read)
        generate(HostEngine(), clip_skip=9, checkpoint="second")
        assert host.shared.opts.data is read
        assert read == {"CLIP_stop_at_last_layers": 4}

    def test_a_job_keeps_the_options_that_it_began_with(self, host: Any) -> None:
        engine = HostEngine()
        first = generate(engine)
        host.shared.opts.set("img2img_extra_noise", 0.5)
        host.shared.opts.set("sd_vae", "soft.safetensors")
        if host.forge:
            host.shared.opts.set("forge_additional_modules", ["/fake/models/VAE/soft.safetensors"])
            importlib.import_module("modules_forge.main_entry").refresh_model_loading_parameters()
        else:
            host.sd_vae.reload_vae_weights()
        assert torch.equal(generate(engine), first)
        assert host.shared.opts.img2img_extra_noise == 0.5
        assert host.forge or host.sd_vae.loaded == "soft.safetensors"
        assert generate(HostEngine()).ne(first).any()

    def test_a_checkpoint_chosen_while_we_generate_is_neither_taken_nor_lost(self, host: Any) -> None:
        expected = generate(HostEngine(), init_image=torch.full((3, 48, 64), 0.5), denoising_strength=0.5)
        chosen: list[str] = []

        def choose() -> None:
            if not chosen:
                chosen.append("second.safetensors")
                elsewhere(lambda: self._choose(host, "second.safetensors"))

        host.processing.behaviour.once_encoded = choose
        again = generate(HostEngine(), init_image=torch.full((3, 48, 64), 0.5), denoising_strength=0.5)
        assert chosen
        assert torch.equal(again, expected)
        assert host.shared.opts.sd_model_checkpoint == "second.safetensors"
        foreign_image(host)
        assert host.processing.calls[-1]["checkpoint"] == "second.safetensors"

    def test_choosing_what_we_generate_with_is_a_choice_as_well(self, host: Any) -> None:
        host.processing.behaviour.once_encoded = lambda: elsewhere(
            lambda: self._choose(host, "second.safetensors")
        )
        generate(HostEngine(), checkpoint="second")
        assert host.shared.opts.sd_model_checkpoint == "second.safetensors"
        host.processing.behaviour.once_encoded = None
        foreign_image(host)
        assert host.processing.calls[-1]["checkpoint"] == "second.safetensors"

    def test_models_that_another_thread_exchanges_are_loaded_anew(self, host: Any) -> None:
        expected = generate(HostEngine())
        other = host.sd_models.checkpoint_aliases["second"]
        replacements: list[int] = []

        def exchange(times: int) -> None:
            if len(replacements) < times:
                replacements.append(1)
                host.shared.sd_model = SimpleNamespace(sd_checkpoint_info=other)
                if host.forge:
                    host.sd_models.model_data.forge_hash = ""
                    importlib.import_module("modules_forge.main_entry").refresh_model_loading_parameters()

        host.processing.behaviour.once_encoded = lambda: elsewhere(lambda: exchange(2))
        assert torch.equal(generate(HostEngine()), expected)
        assert len(replacements) == 2
        host.processing.behaviour.once_encoded = lambda: elsewhere(lambda: exchange(10**6))
        with pytest.raises(RenderError, match="loaded another checkpoint") as raised:
            generate(HostEngine())
        assert raised.value.retryable
        assert host.call_queue.queue_lock.acquire(False)

    def test_the_first_load_of_the_host_is_waited_for(self, host: Any) -> None:
        if host.forge:
            pytest.skip("Forge loads nothing before somebody generates")
        with host.sd_models.model_data.lock:
            thread, outcome = in_background(lambda: generate(HostEngine()))
            wait_for(lambda: host.shared.state.job == generation.JOB_NAME)
            thread.join(0.2)
            assert not host.sd_models.loads
        thread.join(WAIT_S)
        assert isinstance(outcome[0], torch.Tensor)

    def test_another_checkpoint_is_chosen_for_our_images_only(self, host: Any) -> None:
        engine = HostEngine()
        for checkpoint in (None, "second", "second.safetensors", "second.safetensors [2222222222]", None):
            generate(engine, checkpoint=checkpoint)
        seen = [call["checkpoint"].split(".")[0] for call in host.processing.calls]
        assert seen == ["first", "second", "second", "second", "first"]
        assert [name for name, _ in host.sd_models.loads] == [
            f"{name}.safetensors" for name in ("first", "second", "first")
        ]
        assert "sd_model_checkpoint" not in host.shared.opts.data

    def test_a_job_keeps_the_checkpoint_that_it_began_with(self, host: Any) -> None:
        engine = HostEngine()
        first = generate(engine)
        self._choose(host, "second.safetensors")
        again = generate(engine)
        assert torch.equal(first, again)
        assert host.shared.opts.sd_model_checkpoint == "second.safetensors"
        with host.call_queue.queue_lock:
            theirs = host.processing.StableDiffusionProcessingTxt2Img(prompt="theirs", steps=1)
            host.processing.process_images(theirs)
        assert host.processing.calls[-1]["checkpoint"] == "second.safetensors"
        assert generate(HostEngine()).ne(first).any()

    def _choose(self, host: Any, name: str) -> None:
        if host.forge:
            __import__("modules_forge.main_entry").main_entry.checkpoint_change(name)
        else:
            host.shared.opts.set("sd_model_checkpoint", name)

    def test_another_vae_is_loaded_and_taken_back(self, host: Any) -> None:
        generate(HostEngine())
        generate(HostEngine(), vae="soft.safetensors")
        generate(HostEngine(), vae="None")
        if host.forge:
            assert [modules for _, modules in host.sd_models.loads] == [
                (),
                ("/fake/models/VAE/soft.safetensors",),
                (),
            ]
        else:
            assert [call["vae"] for call in host.processing.calls] == [
                "Automatic",
                "soft.safetensors",
                "None",
            ]
            assert host.sd_vae.loaded == "Automatic"
        assert host.shared.opts.sd_vae == "Automatic"

    def test_forge_keeps_text_encoders_when_the_vae_changes(self, host: Any) -> None:
        if not host.forge:
            pytest.skip("Forge's own")
        vae = str(host.folder / "models" / "VAE" / "mine.safetensors")
        host.shared.opts.set("forge_additional_modules", [vae, "/text/clip.safetensors"])
        generate(HostEngine(), vae="soft.safetensors")
        assert host.sd_models.loads[-1][1] == ("/text/clip.safetensors", "/fake/models/VAE/soft.safetensors")
        assert host.shared.opts.forge_additional_modules == [vae, "/text/clip.safetensors"]

    def test_forge_is_told_of_each_choice_once(self, host: Any) -> None:
        if not host.forge:
            pytest.skip("Forge's own")
        engine = HostEngine()
        for _ in range(3):
            generate(engine, checkpoint="second")
        assert len(__import__("modules_forge.main_entry").main_entry.refreshed) == 2


class TestRandomNumbers:
    """What others generate between our frames changes none of them, and ours change none of theirs."""

    def frames(self, engine: HostEngine, count: int, between: Callable[[int], Any]) -> list[torch.Tensor]:
        frames = [generate(engine)]
        while len(frames) < count:
            between(len(frames))
            seed = 5 + len(frames)
            frames.append(generate(engine, seed=seed, init_image=frames[-1], denoising_strength=0.5))
        return frames

    def test_a_foreign_image_between_every_two_frames_changes_none(self, host: Any) -> None:
        alone = self.frames(HostEngine(), 5, lambda _: None)
        disturbed = self.frames(HostEngine(), 5, lambda _: elsewhere(lambda: foreign_image(host)))
        for one, other in zip(alone, disturbed, strict=True):
            assert torch.equal(one, other)
        assert [call["prompt"] for call in host.processing.calls[5:]] == ["a lake", *["theirs", "a lake"] * 4]

    def test_a_run_that_goes_on_equals_one_that_was_never_stopped(self, host: Any) -> None:
        unbroken = self.frames(HostEngine(), 5, lambda _: None)
        frame = self.frames(HostEngine(), 3, lambda _: None)[-1]
        torch.rand(9), np.random.rand(9)
        engine = HostEngine()
        for number in (3, 4):
            frame = generate(engine, seed=5 + number, init_image=frame, denoising_strength=0.5)
            assert torch.equal(frame, unbroken[number])

    def test_the_generators_of_the_host_go_on_as_if_we_had_not_generated(self, host: Any) -> None:
        generate(HostEngine())
        foreign_image(host)
        before = shared_states(host)
        frame = generate(HostEngine(), seed=2**40)
        generate(HostEngine(), seed=-1, init_image=frame)
        assert shared_states(host) == before
        host.processing.behaviour.error = RuntimeError("broken")
        with pytest.raises(RenderError):
            generate(HostEngine())
        assert shared_states(host) == before


class TestErrors:
    def test_without_a_checkpoint_it_says_where_to_put_one(self, host: Any) -> None:
        host.sd_models.checkpoints_list.clear()
        host.sd_models.checkpoint_aliases.clear()
        with pytest.raises(ModelError, match="no checkpoint: put a"):
            generate(HostEngine())

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (torch.cuda.OutOfMemoryError("CUDA out of memory"), OutOfMemory),
            (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), OutOfMemory),
            (ValueError("bad\nshape"), RenderError),
        ],
    )
    def test_the_hosts_errors_become_ours_and_the_next_image_works(
        self, host: Any, error: Exception, expected: type[RenderError]
    ) -> None:
        engine = HostEngine()
        host.processing.behaviour.error = error
        with pytest.raises(expected) as raised:
            generate(engine)
        assert "\n" not in str(raised.value)
        assert raised.value.__cause__ is error
        assert generate(engine).std() > 0.01

    def test_no_image_is_never_a_frame(self, host: Any) -> None:
        host.processing.behaviour.nothing = True
        with pytest.raises(RenderError, match="returned no image"):
            generate(HostEngine())

    def test_black_and_nan_are_told_in_the_log(self, host: Any, caplog: pytest.LogCaptureFixture) -> None:
        host.processing.behaviour.black = 1
        assert not generate(HostEngine()).any()
        assert "a black image" in caplog.text
        host.processing.behaviour.error = host.devices.NansException(
            "A tensor with NaNs was produced in Unet."
        )
        assert not generate(HostEngine(), width_px=60).any()
        assert "returned NaN" in caplog.text


class TestButtons:
    def test_cancel_stops_within_a_step_and_spares_the_next_user(self, host: Any) -> None:
        host.processing.behaviour.step_s = 0.02
        token = CancelToken()
        thread, outcome = in_background(lambda: HostEngine().generate(request_for(steps=500), token))
        wait_for(lambda: host.shared.state.sampling_step > 2)
        token.cancel()
        thread.join(WAIT_S)
        assert isinstance(outcome[0], Cancelled)
        assert not host.shared.state.interrupted
        assert host.call_queue.queue_lock.acquire(False)

    def test_each_step_and_each_wait_for_others_is_a_sign_of_life(self, host: Any) -> None:
        token = CancelToken()
        before_step: list[int] = []

        def until_seen(step: int) -> None:
            before_step.append(token.signs)
            wait_for(lambda: token.signs > before_step[-1])

        host.processing.behaviour.at_step = until_seen
        HostEngine().generate(request_for(steps=4), token)
        assert len(before_step) == 4
        host.processing.behaviour.at_step = None
        with host.call_queue.queue_lock:
            thread, _ = in_background(lambda: HostEngine().generate(request_for(steps=1), token))
            wait_for(lambda: host.call_queue.queue_lock._line)
            before = token.signs
            wait_for(lambda: token.signs > before + 2)
        thread.join(WAIT_S)

    def test_a_cancelled_job_leaves_the_line(self, host: Any) -> None:
        token = CancelToken()
        with host.call_queue.queue_lock:
            thread, outcome = in_background(lambda: HostEngine().generate(request_for(), token))
            wait_for(lambda: host.call_queue.queue_lock._line)
            token.cancel()
            thread.join(WAIT_S)
            assert isinstance(outcome[0], Cancelled)
        wait_for(lambda: host.call_queue.queue_lock.acquire(False))
        assert not host.processing.calls

    @pytest.mark.parametrize("button", ["interrupt", "stopping_generation"])
    def test_interrupt_ends_the_job_without_a_half_baked_frame(self, host: Any, button: str) -> None:
        state = host.shared.state
        press = state.interrupt if button == "interrupt" else lambda: setattr(state, button, True)
        host.processing.behaviour.at_step = lambda step: press() if step == 1 else None
        with pytest.raises(Cancelled, match="interrupted in the WebUI"):
            generate(HostEngine())

    def test_interrupt_between_two_frames_counts_if_nobody_else_generated(self, host: Any) -> None:
        engine = HostEngine()
        generate(engine)
        host.shared.state.interrupt()
        with pytest.raises(Cancelled):
            generate(engine)
        assert len(host.processing.calls) == 1

    def test_interrupt_of_someone_elses_image_is_theirs(self, host: Any) -> None:
        engine = HostEngine()
        generate(engine)
        host.shared.state.begin("theirs")
        host.shared.state.interrupt()
        host.shared.state.end()
        assert generate(engine, seed=6).std() > 0.01

    def test_an_old_interrupt_does_not_end_a_new_job(self, host: Any) -> None:
        host.shared.state.interrupt()
        assert generate(HostEngine()).std() > 0.01

    def test_skip_pauses_until_the_next_skip(self, host: Any, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        expected = generate(HostEngine())
        pressed: list[int] = []

        def press(step: int) -> None:
            host.shared.state.skip()
            pressed.append(step)

        host.processing.behaviour.at_step = press
        thread, outcome = in_background(lambda: generate(HostEngine()))
        wait_for(lambda: pressed)
        host.processing.behaviour.at_step = None
        wait_for(lambda: "paused" in caplog.text)
        assert thread.is_alive()
        assert host.call_queue.queue_lock.acquire(False)
        host.call_queue.queue_lock.release()
        host.shared.state.skip()
        thread.join(WAIT_S)
        assert torch.equal(outcome[0], expected)

    def test_a_skip_that_the_host_forgets_counts_too(
        self, host: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO)
        state = host.shared.state

        def press_and_forget(step: int) -> None:
            if step == 0:
                state.skip()
                time.sleep(20 * generation.LOOK_EVERY_S)
                state.skipped = False

        host.processing.behaviour.at_step = press_and_forget
        thread, _ = in_background(lambda: generate(HostEngine()))
        wait_for(lambda: "paused" in caplog.text)
        host.processing.behaviour.at_step = None
        state.skip()
        thread.join(WAIT_S)
        assert not thread.is_alive()

    @pytest.mark.parametrize(("ask", "expected"), [("cancel", Cancelled), ("park", Parked)])
    def test_a_paused_job_can_be_ended(self, host: Any, ask: str, expected: type[Exception]) -> None:
        host.processing.behaviour.at_step = lambda step: host.shared.state.skip()
        token = CancelToken()
        thread, outcome = in_background(lambda: HostEngine().generate(request_for(), token))
        wait_for(lambda: host.processing.calls and not host.shared.state.job)
        getattr(token, ask)()
        thread.join(WAIT_S)
        assert isinstance(outcome[0], expected)

    def test_reload_interrupts_and_the_frame_is_generated_again(self, host: Any) -> None:
        expected = generate(HostEngine())
        server = type("Server", (), {"should_exit": False})()
        host.shared.demo = type("Demo", (), {"server": server})()

        def restart(step: int) -> None:
            host.shared.state.request_restart()
            server.should_exit = True

        host.processing.behaviour.at_step = restart
        thread, outcome = in_background(lambda: generate(HostEngine()))
        wait_for(lambda: server.should_exit)
        host.processing.behaviour.at_step = None
        pages.reload_began()
        server.should_exit = False
        thread.join(0.3)
        assert thread.is_alive()
        pages.reload_ended()
        thread.join(WAIT_S)
        assert torch.equal(outcome[0], expected)


class TestSharing:
    def test_another_user_gets_a_turn_between_two_frames(self, host: Any) -> None:
        host.processing.behaviour.step_s = 0.01
        engine = HostEngine()
        thread, _ = in_background(lambda: [generate(engine, seed=seed) for seed in range(8)])
        wait_for(lambda: host.processing.calls)
        with host.call_queue.queue_lock:
            theirs = host.processing.StableDiffusionProcessingTxt2Img(prompt="theirs", steps=2)
            host.processing.process_images(theirs)
        thread.join(10)
        order = [call["prompt"] for call in host.processing.calls]
        assert order.count("a lake") == 8
        assert 0 < order.index("theirs") < 8

    def test_resting_unloads_and_keeps_others_out(self, host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        unloaded: list[str] = []
        if host.forge:
            memory = type("Memory", (), {"unload_all_models": lambda: unloaded.append("all")})
            monkeypatch.setitem(sys.modules, "backend.memory_management", memory)
        engine = HostEngine()
        before = generate(engine)
        with engine.resting():
            assert not host.call_queue.queue_lock.acquire(False)
        assert unloaded == (["all"] if host.forge else [])
        if not host.forge:
            assert host.sd_models.loads[-2:] == ["to cpu", "to device"]
        assert torch.equal(generate(engine), before)

    def test_a_second_request_is_not_changed_by_the_first(self, host: Any) -> None:
        engine = HostEngine()
        one = request_for()
        other = replace(one, clip_skip=2, checkpoint="second", vae="soft.safetensors", seed=9)
        images = [engine.generate(each, CancelToken()) for each in (one, other, one)]
        assert torch.equal(images[0], images[2])
        assert torch.equal(HostEngine().generate(other, CancelToken()), images[1])
