"""From how other people keep their scans to `pairs.PairFiles`: tables, BIDS folders, a TCIA collection, planar DICOM.

Every importer only finds out which files belong together and what is known of the patient; it reads no voxels, writes
nothing, and returns what it could not use with the reason. Reading, registering and writing are `prepare`'s.
"""
