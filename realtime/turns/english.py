"""English words by what they do in a sentence, for whoever judges what was said by its words.

Read `completeness.py` for whether a turn is complete, `address.py` for whom it is meant for.
"""


def word_set(text: str) -> frozenset[str]:
    """The words of a text that are separated by spaces."""
    return frozenset(text.split())


QUESTION_WORDS = word_set(
    "how how's what what'll what're what's whats when when's where where's which who who's whom whose why why's"
)
AUXILIARIES = word_set(
    "am are aren't can can't could couldn't did didn't do does doesn't don't had has have is isn't may might must"
    " shall should was were will won't would wouldn't"
)
COMMANDS = word_set(
    "add answer ask begin book brew bring buy calculate call cancel change check choose clean clear close compare"
    " compose confirm connect continue convert count create decrease define delete describe dial dim discard do drop"
    " enable explain fetch find fix flip forget get give go guess guide help imagine increase inform keep leave let"
    " let's list listen locate lock look lower make mark move mute name note open order pause pay pick plan play"
    " please print provide pull put quit raise read recommend record reduce remember remind remove repeat reply"
    " report reserve reset restart rewrite ring roll run save say schedule search send set share show sing skip slow"
    " solve sort speak spell start stop suggest summarise summarize switch take talk teach tell text transfer"
    " translate try turn type unlock update use wait wake walk warn watch write"
)
