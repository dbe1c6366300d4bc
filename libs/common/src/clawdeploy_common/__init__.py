"""What every ClawDeploy service needs, without business words."""
