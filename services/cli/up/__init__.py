"""Running everything here, and seeing what runs."""
