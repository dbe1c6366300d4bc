"""The stand-in's answer: computed from the conversation alone, so the same conversation gets the same answer."""

from clawdeploy_emulators.openrouter.arithmetic import worked_sums
from clawdeploy_emulators.openrouter.conversation import Conversation

GIST_CHARACTERS = 160


def answer_to(conversation: Conversation, *, model_name: str) -> str:
    """What the stand-in says: who it is, what it understood, the sums it was asked, how much it saw."""
    said = conversation.user_texts
    lines = [f"This is the stand-in for {model_name}: it computes its answers and calls no model."]
    if said:
        lines.append(f"You wrote: “{_gist(said[-1])}”")
        lines.extend(f"{worked}." for worked in worked_sums(said[-1]))
    lines.append(_seen(len(said), tools=conversation.tool_count))
    return "\n".join(lines)


def _gist(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= GIST_CHARACTERS else f"{flat[: GIST_CHARACTERS - 1].rstrip()}…"


def _seen(count: int, *, tools: int) -> str:
    messages = "1 message" if count == 1 else f"{count} messages"
    offered = f" and was offered {tools} tool{'' if tools == 1 else 's'}" if tools else ""
    return f"I have seen {messages} from you in this conversation{offered}."
