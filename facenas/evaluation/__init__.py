"""How good a detector is: average precision by the WIDER FACE protocol, and parity between a model and its exports."""
