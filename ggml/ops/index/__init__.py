"""Reading and writing at places: subscripts, gathering, scattering, searching."""
