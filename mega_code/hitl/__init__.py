"""The local flow: measuring and improving a skill with the host agent and a person, iteration by iteration."""
