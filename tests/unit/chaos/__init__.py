"""The lab's parts by themselves, on fakes."""
