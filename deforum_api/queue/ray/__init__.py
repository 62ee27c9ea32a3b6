"""Workers on several GPUs and machines, by Ray; only `driver` and `actor` import the package."""
