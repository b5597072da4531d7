"""What may carry teaching signals: wiring that stays as it was drawn, or that follows the equations of a rule with the role ``feedback``.

What each kind does is told in :mod:`biosim.teaching`.
"""

from __future__ import annotations

from biosim.equations.rule import Rule
from biosim.equations.vocabulary import BUILT_IN, TAUGHT, Level
from biosim.errors import InputError, did_you_mean
from biosim.rules import load_rule, rule_paths

LEVELS: dict[str, Level] = {"random": Level.broadcast, "direct": Level.broadcast, "reciprocal": Level.transport}


def feedback_level(kind: str | None) -> Level:
    """Return the locality level of a teaching signal carried by this wiring."""
    if kind is None:
        return Level.broadcast
    rule = feedback_rule(kind)
    return LEVELS[kind] if rule is None else max(Level.broadcast, rule.level())


def feedback_rule(kind: str) -> Rule | None:
    """Return the equations that a kind of feedback follows, or None when it is fixed."""
    if kind in LEVELS:
        return None
    if kind in rule_paths("feedback") or kind.endswith((".yaml", ".yml")):
        rule = load_rule(kind, "feedback")
        unread = (rule.names & set(BUILT_IN)) - {"pre", "post", "weight", "random", "dt", "age", *TAUGHT}
        if unread:
            raise InputError(f"feedback rule '{kind}' reads {', '.join(sorted(unread))}, which a feedback synapse cannot", ("feedback",))
        return rule
    known = [*LEVELS, *rule_paths("feedback")]
    raise InputError(f"unknown feedback '{kind}'{did_you_mean(kind, known)}; there are: {', '.join(known)}", ("feedback",))
