"""Whole-slide images: cut into fields of view like those the network was trained on, and put together as a heat map."""
