"""What the steps of operations do; providers differ behind their Protocol, the list of steps is the same for all."""
