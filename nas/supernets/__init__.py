"""Supernets inside timm models: axes, families, carving, gates, cost, extraction."""

from nas.supernets.checkpoint import load_weights
from nas.supernets.cost import Cost
from nas.supernets.outline import build, outline
from nas.supernets.saved import Blueprint, load, read_blueprint, save
from nas.supernets.supernet import Supernet

__all__ = ["Blueprint", "Cost", "Supernet", "build", "load", "load_weights", "outline", "read_blueprint", "save"]
