"""The routes, one module per tag; each only translates between HTTP and the job queue."""
