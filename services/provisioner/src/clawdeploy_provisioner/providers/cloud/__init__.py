"""What every cloud's provider shares: servers of an account of the operator's, worked on by their own agents."""
