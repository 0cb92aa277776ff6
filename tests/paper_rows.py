"""Rows of the papers' tables that several tests check."""

from __future__ import annotations

SIDT_ROWS = (
    (0.248, 0.099, 23.28, 3.53),
    (0.468, 0.297, 17.89, 2.60),
    (0.658, 0.561, 11.92, 1.73),
    (0.849, 0.738, 7.17, 0.92),
)
"""SiDT's Swin-T on CIFAR-100: shares cut of stages 1 to 3 and of stage 4, millions of parameters, billions of MACs."""
