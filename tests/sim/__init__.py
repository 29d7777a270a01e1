"""A deterministic simulator: the production engine and agent on virtual time, disks, processes, links and git."""
