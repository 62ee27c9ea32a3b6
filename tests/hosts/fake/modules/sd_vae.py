"""VAEs of a host that loads the one that its options name."""

from modules import shared

vae_dict = {"soft.safetensors": "/vae/soft.safetensors"}
loaded = "Automatic"


def reload_vae_weights():
    global loaded
    loaded = shared.opts.sd_vae
