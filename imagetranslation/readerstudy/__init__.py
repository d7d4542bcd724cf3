"""Reader studies: who reads what and in which order, their answers kept, and the answers analysed."""
