"""The guest's end of vhostmd."""
