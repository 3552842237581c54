"""Where groups of runs are worked on: in this process, or in several processes of this machine."""
