"""Axes: what a model can be cut along, and the table that names the axes of each of its parameters. No torch."""

from nas.axes.table import FLOAT_BITS, AxisTable, Dim, Entry, Frame, Product

__all__ = ["FLOAT_BITS", "AxisTable", "Dim", "Entry", "Frame", "Product"]
