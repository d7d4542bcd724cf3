"""Where a translation fails: worst patients, lesions, and whether its own doubts tell. Making images is left out."""
