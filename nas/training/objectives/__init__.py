"""Objectives: what a training minimises, as steps of the one loop. The rules for supernets are `nas.training.rules`."""
