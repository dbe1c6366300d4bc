"""What the clouds' stand-ins have in common: state, actions that take their time, machines, pages, refusals, bills."""
