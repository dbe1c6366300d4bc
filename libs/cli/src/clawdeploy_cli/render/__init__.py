"""What a person sees: colours and live displays on a terminal, plain lines anywhere else."""
