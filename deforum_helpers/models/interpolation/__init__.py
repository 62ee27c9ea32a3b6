"""Frame interpolation: RIFE, FILM and measured flow, behind one Protocol."""
