"""Questions of every type, for the tests of the reading panel."""

from __future__ import annotations

REALISM_OF_EACH = {
    "id": "realism", "type": "likert", "text": "How realistic?", "each_image": True,
    "anchors": ["Not", "Hardly", "Undecided", "Mostly", "Entirely"],
}  # fmt: skip
FORCED = {"id": "better", "type": "choice", "text": "Which one is sharper?", "images_are_options": True}
RANKED = {"id": "order", "type": "ranking", "text": "Order them", "images_are_options": True}
EVERY_TYPE = [
    {"id": "realism", "type": "likert", "text": "How realistic?", "cannot_assess": True, "help": "As a whole.",
     "anchors": ["Not", "Hardly", "Undecided", "Mostly", "Entirely"]},
    {"id": "artifacts", "type": "yes_no", "text": "Artifacts?"},
    {"id": "kinds", "type": "multi_choice", "text": "Which ones?",
     "options": [{"id": "blur", "text": "Blur"}, {"id": "noise", "text": "Noise"}],
     "show_if": {"question": "artifacts", "equals": True}},
    {"id": "plane", "type": "choice", "text": "Which part?",
     "options": [{"id": "apex", "text": "Apex"}, {"id": "base", "text": "Base"}]},
    {"id": "confidence", "type": "vas", "text": "How sure?", "ends": ["Not at all", "Entirely"]},
    {"id": "size", "type": "number", "text": "How large?", "minimum": 0, "maximum": 90, "unit": "mm"},
    {"id": "place", "type": "place", "text": "Where is it?", "required": False, "cannot_assess": True},
    {"id": "outline", "type": "roi", "text": "Outline it", "required": False},
    {"id": "comment", "type": "text", "text": "Comment?", "required": False},
]  # fmt: skip
