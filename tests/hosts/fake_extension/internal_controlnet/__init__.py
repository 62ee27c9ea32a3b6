"""The extension sd-webui-controlnet, as far as others meet it."""
