"""Bytes that sub-networks need at inference: known of every architecture of a space, without being run."""
