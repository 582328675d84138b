"""The words by which follow-ups are told, English only: data and the patterns made of it."""

from __future__ import annotations

import re
from typing import Final


def words(text: str) -> str:
    """An alternation of blank-separated words; "_" stands for a blank."""
    return "|".join(word.replace("_", " ") for word in text.split())


def pattern(*pieces: str) -> re.Pattern[str]:
    """Pieces joined to one pattern that does not mind capitals."""
    return re.compile("".join(pieces), re.IGNORECASE)


AUXILIARIES: Final = words("is are was were do does did has have had can could may might must should shall will would")
QUESTION_WORDS: Final = words("who whom what when where why which how")
MEASURES: Final = words("long large big far high tall deep wide old many much often fast hot cold dense steep heavy")

# -- what joins a question to the turn before -------------------------------------------------------

LEAD = pattern(
    rf"^(?:(?:{words('and but so ok okay then also now well hm hmm yes no thanks thank_you please')})\b[,.! ]*)+"
)
MORE = pattern(
    r"^(?:(?:can you |could you )?(?:tell|show|give) (?:me|us) (?:some )?more",
    r"(?: details?| about (?:it|this|that|them))?",
    r"|more(?: details?)?|(?:any|more|further) details?|in (?:more|greater) detail|details?|say more|go on|continue",
    r"|elaborate(?: on (?:it|that|this))?|explain(?: (?:it|this|that|further|more))?|what else|anything else)$",
)
BARE_QUESTION = pattern(
    rf"^(?P<word>how (?:{MEASURES})|(?:since|until|by|from|in|at) (?:when|where|whom|which year)",
    rf"|what (?:{words('year time colour color size kind')})",
    rf"|which (?:{words('one year month country city band bands sensor')})|(?:{QUESTION_WORDS})(?: else)?)",
    rf"(?: (?:{words('exactly then not too precisely roughly')}))?$",
    r"|^(?P<reason>why (?:is|was) (?:that|this|it)(?: so)?|why so|how so|how come)$",
)
QUESTION_LEAD = pattern(
    rf"^(?P<word>how (?:{MEASURES})(?: \w+)??|(?:what|which)(?: (?!(?:{AUXILIARIES})\b)\w+){{0,2}}|{QUESTION_WORDS})",
    rf" (?P<rest>(?:{AUXILIARIES})\b.*)$",
)
AUXILIARY_LEAD = pattern(rf"^(?:{AUXILIARIES})\b")
QUESTION_WORD_LEAD = pattern(rf"^(?:{QUESTION_WORDS})\b")
ABOUT = pattern(
    r"^(?:what|how) about (?P<x>.+)$|^(?:do )?(?:the )?(?:same|question) (?:for|with|in) (?P<y>.+)$|^what if (?P<z>.+)$"
)
PHRASE = pattern(
    rf"^(?:{words('in on at for from during after before since near of with without by between under')})",
    r" \S+(?: \S+){0,4}$",
)
VERB = pattern(
    rf"\b(?:{AUXILIARIES}|",
    words("tell show give list describe explain compare find name count measure zoom look draw map"),
    r")\b",
    r"|'s\b|n't\b",
)
LEANS = pattern(rf"\b(?:{words('its their it them this that these those')})\b")
_MONTHS: Final = words(
    "january february march april may june july august september october november december spring summer autumn winter"
)
TIME = pattern(
    rf"\b(?:(?:{words('in during for since from as_of by')}) )?",
    rf"(?:(?:early |late |mid-?)?(?:(?:{_MONTHS}) )?(?:1[6-9]|20|21)\d\d(?:s|-\d\d(?:-\d\d)?)?",
    rf"|(?!may\b)(?:{_MONTHS})|last (?:year|month|summer|winter)|this year|today|now)\b",
)
LABELLED = pattern(
    rf"\b(?P<what>{words('bands? channels? level zone class landsat sentinel month year')})",
    r" ?(?P<which>\d+[a-z]?|[a-z]+)\b",
)

# -- what stands for something ----------------------------------------------------------------------

_OF_NO_THING: Final = words(
    "possible true necessary better best easy easier hard difficult likely safe useful worth important common"
)
EMPTY_IT = pattern(
    rf"\bit(?:'s| is| was| be)? (?:{_OF_NO_THING}|known|clear|rain\w*|snow\w*|seem\w*|takes?|means? (?:that|when)",
    r"|matters?|happens? that|follows that)\b",
    rf"|\b(?:is|was|would|will|does|can) it (?:be )?(?:{_OF_NO_THING}|known that|clear that|rain\w*|snow\w*|matter",
    r"|take|make sense)\b|\bhow (?:is|come) it (?:is )?that\b|\bwhat (?:is|does) it mean (?:that|when|if|to)\b",
)
"""An "it" that means nothing: "is it possible", "does it rain"."""
PRONOUN = pattern(r"\b(?P<own>its|their)\b|\b(?P<it>it|they|them)\b(?!['’]s?\w)")
THIS = pattern(
    r"\b(?:this|that|these|those)\b(?=\s*(?:[?.!,]|$)",
    rf"|\s+(?:{words('is are was were has have had does do did can could look mean come work differ and')})\b",
    rf"|\s+(?:{words('built made called used located opened founded from for like')})\b)",
)
THERE = pattern(
    r"(?<!is )(?<!are )(?<!was )(?<!were )(?<!be )(?<!been )(?<!isn't )(?<!aren't )\b(?:there|here)\b",
    rf"(?! (?:{words('is are was were be been a an any some')})\b)",
)
EXISTS = pattern(r"\b(?:is|are|was|were) there\b")
JOINED_EXISTS = pattern(r"(?:and|but|so|also)\b")
PLACED = pattern(r"\b(?:in|on|at|near|for|between)\b")
COUNTED = pattern(
    rf"^(?P<how>how (?:much|many)) (?!of\b)(?:(?!(?:{AUXILIARIES})\b)\w+ ?){{1,2}}(?= (?:{AUXILIARIES})\b)"
)
COUNTABLE = pattern(r"(?!(?:the|a|an)\b)[a-z]+(?: [a-z]+)?")
MEANING = pattern(
    r"\bwhat (?:does|do|did) (?:that|this|it) mean\b",
    r"|\b(?:summari[sz]e|explain|repeat|rephrase|translate) (?:that|this|it)\b",
)
"""Where "that" is what was answered, and not what it was about."""
AMONG = pattern(r"\b(?:(?:compare|between)|(?:which|both|each|one|all|two) of) (?:them|these|those)\b|\bin common\b")
HERE = pattern(rf"\b(?:{words('here it its this that they them these those')})\b")
THIS_ONE = pattern(r"(?:what|how) about (?:this|that|it|here|this one|that one|the new one)|(?:this|that|the new) one")
ONLY_POINTS = pattern(r"(?:(?:what|how) about|and|but|so|in|for|about|with|of|on|(?:do )?the same for)?\W*")

ANY_NOUN: Final = words(
    "place site area region object structure building class landmark facility sensor satellite mission instrument index"
    " dataset product method algorithm"
)
"""What anything may be called."""
_KINDS: Final = words(
    "city town village country island river lake airport harbour harbor port tower bridge dam church castle palace"
    " museum park stadium mine plant volcano glacier mountain forest desert band"
)
"""What only a thing of that name is called: "the port" is the Port of Hamburg."""
DEFINITE = pattern(
    rf"\b(?:the|this|that) (?P<noun>{ANY_NOUN}|{_KINDS})(?P<own>'s)?\b",
    rf"(?! (?:{words('of in at on near with from between called named that which where around index band')})\b)",
    r"(?! (?-i:[A-Z0-9]))",
)
ATTRIBUTE = pattern(
    r"^(?:(?:what(?:'s| is| was| are| were)|give me|tell me) )?the (?P<what>(?:\w+ )?(?:",
    words(
        "population area height length elevation altitude age size width depth diameter capacity capital owner operator"
        " architect history purpose function resolution swath revisit_time revisit launch_date wavelengths? range"
        " formula name address climate cost"
    ),
    r"))$",
)
CLAUSE = pattern(
    rf"[,;:]|\b(?:{words('and or but when if because while whether that which since before after so than as')})\b"
)
THIN = pattern(
    rf"\b(?:{AUXILIARIES}|{QUESTION_WORDS}|{MEASURES}|whose|be|been|",
    words(
        "the a an of in on at for from to with by about tell me show describe explain compare and but so ok okay then"
        " also now if or you i we us please give know think say there here more exactly year kind sort type colour"
        " color else"
    ),
    r")\b",
)
"""Words of a clause that name nothing, so that a pronoun after them still means something said before."""
PASSIVE = pattern(r"(?:is|are|was|were)\b.* \w+(?:ed|en|lt|wn|de|ng)\b(?! of)")
LOOKS_ONLY = pattern(
    r"\b(?:in |about |at |to )?this part of the image\b|\b(?:the )?(?:whole|entire|full) \w+\b|\b(?:what|how) about\b"
    r"|\b(?:do )?the same (?:for|in)\b|",
    rf"\b(?:{words('look zoom go show show_me see and again now back only just closer at to on in out please')})\b",
)
"""What a question says that only tells where to look."""
