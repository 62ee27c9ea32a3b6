"""Options: what is registered, and the values that were ever set."""

import json


class OptionInfo:
    def __init__(
        self,
        default=None,
        label="",
        component=None,
        component_args=None,
        onchange=None,
        section=None,
        category_id=None,
    ):
        self.default = default
        self.label = label
        self.component = component
        self.component_args = component_args
        self.onchange = onchange
        self.section = section
        self.category_id = category_id
        self.do_not_save = False
        self.restrict_api = False


class Options:
    def __init__(self, data_labels):
        self.__dict__["data_labels"] = data_labels
        self.__dict__["data"] = {}

    def __getattr__(self, name):
        if name in self.data:
            return self.data[name]
        if name in self.data_labels:
            return self.data_labels[name].default
        raise AttributeError(name)

    def __setattr__(self, name, value):
        if name in ("data", "data_labels"):
            self.__dict__[name] = value
            return
        assert name in self.data_labels, name
        self.data[name] = value

    def set(self, name, value, is_api=False, run_callbacks=True):
        if is_api and self.data_labels[name].restrict_api:
            return False
        changed = self.data.get(name) != value
        self.data[name] = value
        if run_callbacks and changed and self.data_labels[name].onchange:
            self.data_labels[name].onchange()
        return changed

    def save(self, filename):
        with open(filename, "w", encoding="utf8") as file:
            json.dump(self.data, file, indent=4)

    def get_default(self, name):
        return self.data_labels[name].default

    def add_option(self, name, info):
        self.data_labels[name] = info
        self.data.setdefault(name, info.default)


def host_labels():
    return {"img2img_extra_noise": OptionInfo(0.0, category_id="sd")} | {
        name: OptionInfo(default)
        for name, default in {
            "sd_model_checkpoint": None,
            "sd_checkpoint_hash": "",
            "sd_vae": "Automatic",
            "sd_vae_overrides_per_model_preferences": False,
            "forge_additional_modules": [],
            "CLIP_stop_at_last_layers": 1,
            "eta_ancestral": 1.0,
            "eta_ddim": 0.0,
            "initial_noise_multiplier": 1.0,
            "img2img_fix_steps": False,
            "img2img_color_correction": False,
            "save_init_img": False,
            "face_restoration_model": "CodeFormer",
            "control_net_detectmap_autosaving": True,
            "outdir_samples": "",
            "outdir_img2img_samples": "",
        }.items()
    }
