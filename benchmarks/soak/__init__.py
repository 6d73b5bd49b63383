"""A month of mixed traffic in fast motion, with the memory, descriptors and threads at the end of each day."""
