"""What is found and what is missing for an enhancement, and the command that mends it. Reads only."""
