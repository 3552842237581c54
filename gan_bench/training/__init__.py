"""How a group of runs is trained: one step, lifted to lanes; one trainer."""
