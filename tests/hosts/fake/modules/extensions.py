"""Extensions that the host has found; it loads those that are switched on."""

extensions = []


def active():
    return [each for each in extensions if each.enabled]
