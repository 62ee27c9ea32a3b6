"""Pictures made larger: networks and a way without any, behind one Protocol."""
