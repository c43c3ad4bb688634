"""The Ray that a cluster lives in: started on this machine alone, shared with other machines, or somebody else's."""
