"""The catalogue of events ClawDeploy's services speak."""
