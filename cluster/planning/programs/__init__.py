"""Plans for programs: units over devices, by memory and by how much each computes."""
