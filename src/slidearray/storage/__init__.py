"""Files: the run directory, records, manifests, HDF5."""
