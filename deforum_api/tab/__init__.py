"""The standalone tab's page, its routes and its service over the queue."""
