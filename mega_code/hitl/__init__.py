"""The local flow, with a person in the loop: workspace, runs, review, acceptance."""
