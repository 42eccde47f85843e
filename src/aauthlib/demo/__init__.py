"""The demo: five roles as real servers on this machine, and one guided first contact."""
