"""`make peers`: other packages, and simpler ways, against our search: same images, seeds and processor time."""
