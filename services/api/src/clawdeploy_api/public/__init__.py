"""What people and programs see of the gateway's things; these models are the OpenAPI document's schemas."""
