"""Does a synthetic image help a diagnosis? Classifiers on features of each image, without the pitfalls of doing so."""
