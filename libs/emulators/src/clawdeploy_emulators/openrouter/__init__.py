"""A stand-in of OpenRouter: keys, credits, activity, models and chat completions that are computed, not inferred."""

from clawdeploy_emulators.openrouter.app import create_openrouter
from clawdeploy_emulators.openrouter.settings import OpenRouterSettings

__all__ = ["OpenRouterSettings", "create_openrouter"]
