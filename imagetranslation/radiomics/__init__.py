"""Radiomics: quantitative features of drawn regions, by engines that others wrote and with checks of our own.

What is here: settings and their hash (`settings`, `parameters`), regions of interest from any segmentation file
(`segmentations`, `roi`), one preparation of images for every engine (`preprocess`, `resample`), cropping that changes
no bit of the result (`crop`, `filters`), the engines (`engine` is their protocol), one call for one image and its
regions (`extraction`), a cache by content (`cache`) and work on several cores (`parallel`); one region in a source, its
synthetic image and the real target (`comparison`), and what a translation preserves over a cohort (`preservation`).
"""
