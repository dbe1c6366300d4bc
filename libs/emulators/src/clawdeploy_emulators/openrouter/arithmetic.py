"""The sums in a sentence, worked out exactly: `What is 17 + 25?` holds one, and it is 42."""

import re
from decimal import Decimal
from fractions import Fraction

NUMBER = r"\d{1,15}(?:\.\d{1,9})?"
SUM = re.compile(rf"(?<![\w.:/-]){NUMBER}(?:\s*[-+*/x×÷]\s*{NUMBER}){{1,20}}(?![\w:-])")
CALENDAR = re.compile(r"\d{4}-\d{2}-\d{2}(?:T[\d:.]+Z?)?|\d{1,2}:\d{2}(?::\d{2})?")
TOKEN = re.compile(rf"{NUMBER}|[-+*/x×÷]")
AT_MOST = 5


def worked_sums(text: str) -> list[str]:
    """Up to five sums found in the text with their results, such as `17 + 25 = 42`; dates and times are no sums."""
    found = SUM.findall(CALENDAR.sub(" ", text))
    return [_worked(expression) for expression in found[:AT_MOST]]


def _worked(expression: str) -> str:
    tokens = TOKEN.findall(expression)
    shown = " ".join(tokens)
    try:
        return f"{shown} = {_written(_value(tokens))}"
    except ZeroDivisionError:
        return f"{shown} has no result, because nothing divides by zero"


def _value(tokens: list[str]) -> Fraction:
    """Products first, then sums, from left to right."""
    terms = [Fraction(tokens[0])]
    for operator, number in zip(tokens[1::2], tokens[2::2], strict=True):
        match operator:
            case "+":
                terms.append(Fraction(number))
            case "-":
                terms.append(-Fraction(number))
            case "/" | "÷":
                terms[-1] /= Fraction(number)
            case _:
                terms[-1] *= Fraction(number)
    return sum(terms, Fraction(0))


def _written(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    rounded = round(Decimal(value.numerator) / Decimal(value.denominator), 6)
    return f"{rounded.normalize():f}" if Fraction(rounded) == value else f"about {rounded:f}"
