"""Drives: what a network is shown while it develops."""

from biosim.drives.base import Drive, Presentation
from biosim.drives.images import ImageDrive, Images, load_images
from biosim.drives.samples import SampleDrive

__all__ = ["Drive", "ImageDrive", "Images", "Presentation", "SampleDrive", "load_images"]
