"""What is added in one or two places: a copy of the project gets one of each, and passes its own tests."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deforum_helpers.render.plan import make_plan
from deforum_helpers.settings import load_settings
from deforum_helpers.settings.host_options import Options
from deforum_helpers.ui.controls import NAMES

ROOT = Path(__file__).resolve().parents[1]
# File -> a text in it, and what takes its place.
SETTING = {
    "deforum_helpers/settings/model_animation.py": (
        "    distilled_cfg_scale_schedule: str = schedule(\n",
        """    glow_schedule: str = schedule(
        "0: (0)",
        "How much is added to the CFG scale.",
        tab=_CFG,
        label="Glow schedule",
        bounds=(0, 10),
        used_when=is_on("enable_steps_scheduling"),
        since="here",
        used_in="render/requests.py",
    )
    distilled_cfg_scale_schedule: str = schedule(
""",
    ),
    "deforum_helpers/render/requests.py": (
        'at["cfg_scale_schedule"]',
        'at["cfg_scale_schedule"] + (at["glow_schedule"] if settings.enable_steps_scheduling else 0)',
    ),
}
SAMPLER = {
    "deforum_helpers/samplers.py": (
        "SAMPLERS: Mapping[str, Sampler] = {\n",
        """def sample_glow(model: Model, x: Tensor, sigmas: Sequence[float]) -> Tensor:
    for sigma, next_sigma in pairwise(sigmas):
        x = x + (next_sigma - sigma) * slope_at(model, x, sigma)
    return x


SAMPLERS: Mapping[str, Sampler] = {
    "Glow": Sampler(sample_glow, "Karras"),
""",
    ),
}
BUTTON = {
    "deforum_helpers/ui/buttons.py": (
        "BUTTONS = (\n",
        """BUTTONS = (
    Button("glow", "Glow", "run", Call(Answers.glow, ("sent", "fields"), ("verdict", "zoom", "message"))),
""",
    ),
    "deforum_helpers/ui/answers.py": (
        "    def reset(",
        """    def glow(self, sent: str, values: Values) -> tuple[Any, ...]:
        return f"{sent} {len(values)}", "0: (1.5)", None

    def reset(""",
    ),
}
DIGEST = """
from deforum_helpers.render.plan import make_plan
from deforum_helpers.settings import load_settings
from deforum_helpers.settings.host_options import Options
print(make_plan(load_settings({"seed": 1, "max_frames": 2}).settings, Options()).digest)
"""
TAB = """
import sys
from pathlib import Path
from deforum_helpers.ui import make_tab
from deforum_helpers.ui.controls import default_values
from tests.ui.fake_service import FakeService, facts

made = make_tab(FakeService(facts(Path(sys.argv[1]))))
ids = {part["id"]: part["props"].get("elem_id") for part in made.get_config_file()["components"]}
(event,) = [one for one in made.fns.values() if ids.get(one.targets[0][0]) == "deforum_glow"]
print([ids[one._id] for one in event.outputs])
print(event.fn("hello", *default_values())[:2])
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, without weights, with the additions."""
    root = tmp_path_factory.mktemp("copy")
    without = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for folder in (
        "deforum_helpers",
        "config",
        "docs",
        "tests/settings",
        "tests/render",
        "tests/engines",
        "tests/ui",
    ):
        shutil.copytree(ROOT / folder, root / folder, ignore=without)
    for file in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py", "tests/refusals.py"):
        shutil.copy(ROOT / file, root / file)
    for file, (before, after) in (SETTING | SAMPLER | BUTTON).items():
        text = (root / file).read_text(encoding="utf-8")
        assert text.count(before) == 1
        (root / file).write_text(text.replace(before, after), encoding="utf-8")
    return root


def python(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_schedule_setting_is_a_declaration_and_the_line_that_reads_it(copy: Path) -> None:
    """It is documented, has a test of its effect, and does not keep older runs from being resumed."""
    python(copy, "-m", "deforum_helpers.settings")
    settings, compatibility = (
        (copy / "docs" / name).read_text(encoding="utf-8") for name in ("settings.md", "compatibility.md")
    )
    assert "| `glow_schedule` | schedule, 0..10 | `0: (0)` |" in settings
    assert "| `glow_schedule` | `render/requests.py` | here |  |" in compatibility
    tests = [
        f"tests/settings/test_{name}.py" for name in ("compatibility", "every_setting", "settings_model")
    ]
    tests += ["tests/settings/test_settings_generated.py"]
    names = "glow_schedule or case_or_a_reason or had_a_setting_first or fork_setting_exists or fresh"
    told = python(copy, "-m", "pytest", *tests, "-k", names, "-v", "-p", "no:cacheprovider")
    assert "test_a_changed_value_changes_the_video[glow_schedule] PASSED" in told
    assert "test_a_setting_that_does_not_act_changes_nothing[glow_schedule" in told
    same = make_plan(load_settings({"seed": 1, "max_frames": 2}).settings, Options())
    assert python(copy, "-c", DIGEST).strip() == same.digest


def test_a_sampler_is_a_function_with_its_row(copy: Path) -> None:
    """Settings files may name it, and the engine runs it."""
    script = "from deforum_helpers.settings import load_settings; print(load_settings({'sampler': 'glow'}).settings)"
    assert "sampler='Glow'" in python(copy, "-c", script)
    tests = ("tests/engines/test_samplers.py", "-k", "Glow and (answer or init_image)")
    told = python(copy, "-m", "pytest", *tests, "-v", "-p", "no:cacheprovider")
    assert "test_a_perfect_network_is_followed_to_its_answer[Glow] PASSED" in told


@pytest.mark.skipif(importlib.util.find_spec("gradio") is None, reason="gradio is not installed")
def test_a_button_is_a_row_and_the_function_that_it_calls(copy: Path, tmp_path: Path) -> None:
    """It reads controls, sets some of them, and leaves others unchanged."""
    outputs, result = python(copy, "-W", "ignore", "-c", TAB, str(tmp_path)).splitlines()[-2:]
    assert outputs == "['deforum_verdict', 'deforum_field_zoom', 'deforum_message']"
    assert result == f"['hello {len(NAMES) + 1}', '0: (1.5)']"  # with glow_schedule
