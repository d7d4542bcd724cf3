"""The statistics of a reader study, on plain arrays: agreement, signal detection, MRMC, tests, the ordinal model.

Nothing here knows of studies, journals or files other than the two kinds of CSV in `csvtables`. Every number comes as
an `estimates.Estimate` with its n, method, source and interval, or as the sentence why it cannot be had. scipy is
imported where it is used.
"""
