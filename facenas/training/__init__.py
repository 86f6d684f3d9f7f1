"""One training, in torch."""

import facenas.networks  # noqa: F401  says what to install where there is no torch
