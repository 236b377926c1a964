"""doctor: whether this machine, and a node of a cluster, have what work here depends on."""
