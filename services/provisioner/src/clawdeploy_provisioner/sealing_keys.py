"""The keys that secrets are sealed to; their private halves are wrapped with ENCRYPTION_KEY."""

KEY_PURPOSE = b"clawdeploy/sealing-key/v1"
