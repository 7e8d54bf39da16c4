"""specbench: which speculative-decoding method is fastest, measured."""

__version__ = "0.1.0"
