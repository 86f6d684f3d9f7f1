"""Labelled photos: readers for labelv2 and WIDER FACE, augmentation, and synthetic faces for want of photos."""
