"""Readers, one file per format: each finds labelled images where they lie, and decodes none."""
