"""The cases that are measured: one function measures one run of one side and returns plain values."""
