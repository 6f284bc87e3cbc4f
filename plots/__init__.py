"""Figures: one file each, drawn from run folders only."""
