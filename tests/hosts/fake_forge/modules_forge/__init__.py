"""What Forge has beside what every host has."""
