"""Scripts that hosts run with each image, and the runner that hides what goes wrong in them."""

import importlib.util
import sys

# (title, name of the call, arguments) in the order in which scripts were called.
seen = []
# Title -> an error that the script of that title raises once.
errors = {}


class Script:
    args_from = None
    args_to = None
    alwayson = True

    def title(self):
        raise AssertionError

    def process(self, p, *args):
        pass

    def process_before_every_sampling(self, p, *args, **kwargs):
        pass

    def postprocess(self, p, *args):
        pass


class ScriptRunner:
    def __init__(self):
        self.scripts = []
        self.selectable_scripts = []
        self.alwayson_scripts = []
        self.callback_map = {}

    def add(self, script, arguments):
        script.args_from = self.alwayson_scripts[-1].args_to if self.alwayson_scripts else 1
        script.args_to = script.args_from + arguments
        self.scripts.append(script)
        self.alwayson_scripts.append(script)

    def ordered(self, name):
        """Whose class has the call; remembered until the number of scripts changes."""
        known = self.callback_map.get(name)
        if known is None or known[0] != len(self.alwayson_scripts):
            plain = getattr(Script, name)
            found = [each for each in self.alwayson_scripts if getattr(type(each), name) is not plain]
            known = self.callback_map[name] = (len(self.alwayson_scripts), found)
        return known[1]

    def call(self, name, p):
        for script in self.ordered(name):
            self._run(script, name, p)

    def _run(self, script, name, p):
        try:
            getattr(script, name)(p, *p.script_args[script.args_from : script.args_to])
        except Exception as error:
            sys.stderr.write(f"*** Error running {name}: {error!r}\n")


class Plain(Script):
    """Notes what it is called with."""

    def __init__(self, title):
        self._title = title

    def title(self):
        return self._title

    def process_before_every_sampling(self, p, *args, **kwargs):
        seen.append((self._title, "process_before_every_sampling", args))
        if self._title in errors:
            raise errors.pop(self._title)


class ControlNet(Plain):
    """Takes units of its own kind alone, and keeps something from one call to the next."""

    def __init__(self):
        super().__init__("ControlNet")
        self.kept = 0

    def process(self, p, *args):
        code = (
            sys.modules.get("lib_controlnet.external_code")
            or sys.modules["internal_controlnet.external_code"]
        )
        assert all(isinstance(each, code.ControlNetUnit) for each in args), args
        self.kept += 1

    def postprocess(self, p, *args):
        self.kept -= 1


def _runner():
    runner = ScriptRunner()
    runner.add(Plain("ADetailer"), 2)
    if importlib.util.find_spec("lib_controlnet") or importlib.util.find_spec("internal_controlnet"):
        runner.add(ControlNet(), 3)
    if importlib.util.find_spec("modules_forge"):
        runner.add(Plain("FreeU Integrated (SD 1.x, SD 2.x, SDXL)"), 7)
        runner.add(Plain("Kohya HRFix Integrated"), 8)
    return runner


if importlib.util.find_spec("lib_controlnet"):
    from lib_controlnet import external_code
elif importlib.util.find_spec("internal_controlnet"):
    from internal_controlnet import external_code  # noqa: F401
scripts_txt2img = _runner()
scripts_img2img = _runner()
