"""Where an agent can run: one small class per kind of machine, all behind one Protocol."""
