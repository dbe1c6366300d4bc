"""What the platform costs beside a bare baseline, measured side by side: `make bench`. Never part of `make test`."""
