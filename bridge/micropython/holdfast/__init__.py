"""Holdfast for MicroPython: see README.md."""
from .client import Client, LinkError
