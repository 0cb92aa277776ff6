"""Counting: how many architectures a limit allows, uniform draws of them, and the best one, without listing any."""
