"""A model package in the forms of others: an ONNX file, a MONAI bundle. Making the package is `export`'s work."""
