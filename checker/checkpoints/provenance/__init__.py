"""Weights of a model and of a checkpoint -> the layout that leads from one to the other."""
