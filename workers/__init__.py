"""The consumer that Huey runs: `huey_consumer workers.app.huey`."""
