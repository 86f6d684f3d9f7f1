"""The version of facenas, so that whoever wants to know it does not import the package's face."""

__version__ = "0.1.0"
