"""The operations engine: durable sagas with leases, fencing, compensation and cancellation (ADR 0001)."""
