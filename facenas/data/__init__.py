"""Labelled photos: readers for labelv2, WIDER FACE, COCO, YOLO, tables and packed pieces, augmentation, and
synthetic faces for want of photos."""
