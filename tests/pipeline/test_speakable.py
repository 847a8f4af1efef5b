"""What is written, and what a voice is given for it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.pipeline.heard.numbers import chinese_number, english_number
from edged.pipeline.sentences import SentenceSplitter
from edged.pipeline.speakable import speakable
from edged.pipeline.spoken import chinese_numbers, english_numbers

ENGLISH = [
    # numbers
    ("123", "one hundred twenty-three"),
    ("0", "zero"),
    ("1,234.5", "one thousand two hundred thirty-four point five"),
    ("1,000,000 stars", "one million stars"),
    ("1234567", "one million two hundred thirty-four thousand five hundred sixty-seven"),
    ("3.14", "three point one four"),
    ("0.05", "zero point zero five"),
    (".5", "point five"),
    ("-5", "minus five"),
    ("It was -5.", "It was minus five."),
    ("\u22122", "minus two"),
    ("007", "zero zero seven"),
    ("1234567890123456", "one two three four five six seven eight nine zero one two three four five six"),
    ("1, 2, and 3", "one, two, and three"),
    ("1,2,3", "one, two, three"),
    ("3 million people", "three million people"),
    ("5M users and 10k fans", "five million users and ten thousand fans"),
    ("1st, 2nd, 3rd and 21st", "first, second, third and twenty-first"),
    ("the 100th day", "the one hundredth day"),
    ("the 12TH", "the twelfth"),
    ("3-5", "three to five"),
    ("pages 10–12", "pages ten to twelve"),
    ("They won 2-1.", "They won two to one."),
    ("3/4", "three quarters"),
    ("1/2", "one half"),
    ("2/3 of it", "two thirds of it"),
    ("5/64", "five over sixty-four"),
    ("I give it 8/10.", "I give it eight out of ten."),
    ("open 24/7", "open twenty-four seven"),
    ("1 1/2 cups", "one and a half cups"),
    ("2 3/4", "two and three quarters"),
    ("½ cup", "one half cup"),
    ("1½ cups", "one and a half cups"),
    ("16:9", "sixteen to nine"),
    ("MP3, H2O and B2B", "MP three, H two O and B two B"),
    ("GPT-4 and COVID-19", "GPT four and COVID nineteen"),
    ("version 3.11.2", "version three point eleven point two"),
    ("v2.0", "version two point zero"),
    ("192.168.1.10", "one nine two dot one six eight dot one dot one zero"),
    ("2x faster", "two times faster"),
    ("1920x1080", "one thousand nine hundred twenty by one thousand eighty"),
    ("٣ books", "three books"),
    ("５ books", "five books"),
    ("① Go", "one Go"),
    # years
    ("in 1999", "in nineteen ninety-nine"),
    ("Since 2007 it is", "Since two thousand seven it is"),
    ("by 2030, all", "by twenty thirty, all"),
    ("in 1905", "in nineteen oh five"),
    ("in 1900", "in nineteen hundred"),
    ("the year 2000", "the year two thousand"),
    ("1939-1945", "nineteen thirty-nine to nineteen forty-five"),
    ("Einstein (1879–1955)", "Einstein (eighteen seventy-nine to nineteen fifty-five)"),
    ("Alien (1979)", "Alien (nineteen seventy-nine)"),
    ("between 1990 and 1999", "between nineteen ninety and nineteen ninety-nine"),
    ("in 1066", "in ten sixty-six"),
    ("the 1990s", "the nineteen nineties"),
    ("the '80s", "the eighties"),
    ("the 2024 Olympics", "the twenty twenty-four Olympics"),
    ("1999 apples", "one thousand nine hundred ninety-nine apples"),
    # dates
    ("2026-11-26", "November twenty-sixth, twenty twenty-six"),
    ("Nov 26, 2026", "November twenty-sixth, twenty twenty-six"),
    ("Nov. 26", "November twenty-sixth"),
    ("November 3rd, 2021.", "November third, twenty twenty-one."),
    ("11/26/2026", "November twenty-sixth, twenty twenty-six"),
    ("26/11/2026", "November twenty-sixth, twenty twenty-six"),
    ("26.11.2026", "November twenty-sixth, twenty twenty-six"),
    ("7/4/76", "July fourth, nineteen seventy-six"),
    ("26 November 2026", "the twenty-sixth of November, twenty twenty-six"),
    ("the 2nd of May", "the second of May"),
    ("May 3-5, 2020", "May third to fifth, twenty twenty"),
    ("in March 2020", "in March twenty twenty"),
    ("Thu, Nov 26", "Thursday, November twenty-sixth"),
    ("2026-13-45", "two thousand twenty-six-thirteen-forty-five"),
    ("Mon–Fri 9–5", "Monday to Friday nine to five"),
    ("Jan-Feb 2020", "January to February twenty twenty"),
    ("You may 5 times", "You may five times"),
    # times
    ("14:30", "fourteen thirty"),
    ("at 9:05", "at nine oh five"),
    ("5:00", "five o'clock"),
    ("17:00", "seventeen hundred"),
    ("00:00", "midnight"),
    ("7:05 am", "seven oh five a.m."),
    ("3 p.m.", "three p.m."),
    ("at 3pm.", "at three p.m."),
    ("10.30 am", "ten thirty a.m."),
    ("12:00 pm", "twelve p.m."),
    ("10:30:15", "ten thirty and fifteen seconds"),
    ("9am-5pm", "nine a.m. to five p.m."),
    ("9:00-17:00", "nine o'clock to seventeen hundred"),
    ("2026-11-26T14:30:00Z", "November twenty-sixth, twenty twenty-six, fourteen thirty"),
    # telephone numbers and other codes
    ("555-123-4567", "five five five, one two three, four five six seven"),
    ("(555) 123-4567", "five five five, one two three, four five six seven"),
    ("+1 555 123 4567", "plus one, five five five, one two three, four five six seven"),
    ("Call 911!", "Call nine one one!"),
    ("Call me at 555-1234.", "Call me at five five five, one two three four."),
    ("100-2000 people", "one hundred to two thousand people"),
    ("The code is 4711.", "The code is four seven one one."),
    # money
    ("$3.50", "three dollars and fifty cents"),
    ("$1", "one dollar"),
    ("$1.01", "one dollar and one cent"),
    ("$0.99", "ninety-nine cents"),
    ("$1,200", "one thousand two hundred dollars"),
    ("€5", "five euros"),
    ("5 €", "five euros"),
    ("£2", "two pounds"),
    ("¥20", "twenty yen"),
    ("20元", "twenty yuan"),
    ("-$5", "minus five dollars"),
    ("$5-10", "five to ten dollars"),
    ("$5 million", "five million dollars"),
    ("$1.5B", "one point five billion dollars"),
    ("$10/month", "ten dollars per month"),
    ("100 USD", "one hundred dollars"),
    ("US$20", "twenty dollars"),
    # measures
    ("5 km", "five kilometers"),
    ("1 km", "one kilometer"),
    ("5km.", "five kilometers."),
    ("3-5 km", "three to five kilometers"),
    ("a 5-km run", "a five kilometer run"),
    ("20 °C", "twenty degrees Celsius"),
    ("-5°C", "minus five degrees Celsius"),
    ("68 °F", "sixty-eight degrees Fahrenheit"),
    ("90°", "ninety degrees"),
    ("60 km/h", "sixty kilometers per hour"),
    ("55 mph", "fifty-five miles per hour"),
    ("9.8 m/s²", "nine point eight meters per second squared"),
    ("3 kg", "three kilograms"),
    ("250 ml", "two hundred fifty milliliters"),
    ("2 tbsp of oil", "two tablespoons of oil"),
    ("15%", "fifteen percent"),
    ("15-20%", "fifteen to twenty percent"),
    ("0.5 %", "zero point five percent"),
    ("2 GB", "two gigabytes"),
    ("1 GB", "one gigabyte"),
    ("3.5 GHz", "three point five gigahertz"),
    ("5'10\"", "five feet ten"),
    ("10 x 20 cm", "ten by twenty centimeters"),
    ("150 million km", "one hundred fifty million kilometers"),
    ("25 m²", "twenty-five square meters"),
    ("I am 5 and in love", "I am five and in love"),
    # abbreviations
    ("Dr. Smith", "Doctor Smith"),
    ("Mr. and Mrs. X", "Mister and Missus X"),
    ("Fruit, e.g. pears", "Fruit, for example pears"),
    ("i.e., this", "that is, this"),
    ("cats, dogs, etc.", "cats, dogs, et cetera."),
    ("cats, etc., and dogs", "cats, et cetera, and dogs"),
    ("cats vs. dogs", "cats versus dogs"),
    ("St. John", "Saint John"),
    ("Main St.", "Main Street"),
    ("No. 5", "number five"),
    ("Fig. 3, p. 12", "figure three, page twelve"),
    ("No. That is it.", "No. That is it."),
    ("the U.S. and 3.14", "the U.S. and three point one four"),
    ("w/o sugar", "without sugar"),
    # Markdown
    ("**bold** and *it* and _this_", "bold and it and this"),
    ("`code` here", "code here"),
    ("~~gone~~", "gone"),
    ("# Title\nText", "Title. Text"),
    ("## Why? ##\nText", "Why? Text"),
    ("- milk\n- eggs", "milk. eggs"),
    ("* milk\n* eggs.\n", "milk. eggs."),
    ("1. Milk\n2. Eggs", "one, Milk. two, Eggs"),
    ("- [x] done", "done"),
    ("> quoted", "quoted"),
    ("[the page](http://a.b/c?d=e)", "the page"),
    ("![a cat](cat.png)", "a cat"),
    ("Text.[^1]", "Text."),
    ("a\n\n---\n\nb", "a. b"),
    ("```py\nx = 1\n```\nDone.", "Done."),
    ("```py\nx = 1", ""),
    ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b. one, two"),
    ("<b>bold</b> &amp; so", "bold and so"),
    ("snake_case", "snake case"),
    ("***", ""),
    # addresses
    ("https://www.example.com", "example dot com"),
    ("See https://www.example.com/docs/a-b?x=1.", "See example dot com slash docs slash a dash b."),
    ("www.example.org", "example dot org"),
    ("example.com!", "example dot com!"),
    ("<https://example.com>", "example dot com"),
    ("ann.lee@example.com", "ann dot lee at example dot com"),
    ("Edit main.py now", "Edit main dot py now"),
    # emoji and symbols
    ("Hi 😀! 👍🏽", "Hi!"),
    ("👨‍👩‍👧", ""),
    ("R&D", "R and D"),
    ("1 + 1 = 2", "one plus one equals two"),
    ("5 * 3", "five times three"),
    ("6 × 7", "six times seven"),
    ("10 - 3", "ten minus three"),
    ("10 ÷ 2", "ten divided by two"),
    ("x^2 and 10^6", "x squared and ten to the power of six"),
    ("#5 and #fun", "number five and hashtag fun"),
    ("C# and C++", "C sharp and C plus plus"),
    ("you @ home", "you at home"),
    ("he/she and/or they", "he or she and or they"),
    ("/usr/bin", "usr bin"),
    ("2x + 3 = 7", "two x plus three equals seven"),
    ("A → B", "A to B"),
    ("~5 cats", "about five cats"),
    ("a — b", "a, b"),
    ("Wait…", "Wait…"),
    ("Wow!!!!", "Wow!"),
    ("It's 'fine', isn't it?", "It's 'fine', isn't it?"),
    ("", ""),
    (" \n ", ""),
    ("...", ""),
    ("?!", ""),
]

CHINESE = [
    # numbers
    ("123", "一百二十三"),
    ("10", "十"),
    ("15", "十五"),
    ("110", "一百一十"),
    ("1005", "一千零五"),
    ("10000", "一万"),
    ("100010", "十万零一十"),
    ("12,345,678", "一千二百三十四万五千六百七十八"),
    ("1,234.5", "一千二百三十四点五"),
    ("3.14", "三点一四"),
    ("-5", "负五"),
    ("2个", "两个"),
    ("12个", "十二个"),
    ("2小时", "两小时"),
    ("2000人", "两千人"),
    ("3.5万", "三点五万"),
    ("100万", "一百万"),
    ("第1名", "第一名"),
    ("2楼", "二楼"),
    ("2年级", "二年级"),
    ("3-5个", "三到五个"),
    ("3~5天", "三到五天"),
    ("3/4", "四分之三"),
    ("2:1", "二比一"),
    ("MP3和5G", "MP三和五G"),
    ("iPhone 15", "iPhone 十五"),
    ("３本书", "三本书"),
    # dates and times
    ("2026年11月26日", "二零二六年十一月二十六日"),
    ("1999年", "一九九九年"),
    ("5年", "五年"),
    ("2024-2026年", "二零二四到二零二六年"),
    ("1939-1945", "一九三九到一九四五"),
    ("1500-2000人", "一千五百到两千人"),
    ("90年代", "九十年代"),
    ("2月2日", "二月二日"),
    ("2026-11-26", "二零二六年十一月二十六日"),
    ("2026/11/26", "二零二六年十一月二十六日"),
    ("11/26/2026", "二零二六年十一月二十六日"),
    ("14:30", "十四点三十分"),
    ("14:05", "十四点零五分"),
    ("14:00", "十四点"),
    ("2:00", "两点"),
    ("10:30:15", "十点三十分十五秒"),
    ("下午3:30", "下午三点三十分"),
    ("3pm", "下午三点"),
    ("9:00-17:00", "九点到十七点"),
    # money and measures
    ("20元", "二十元"),
    ("2元", "两元"),
    ("¥20", "二十元"),
    ("$3.50", "三点五美元"),
    ("€5", "五欧元"),
    ("£2", "两英镑"),
    ("$5 million", "五百万美元"),
    ("5元/月", "五元每月"),
    ("25%", "百分之二十五"),
    ("3.5%", "百分之三点五"),
    ("10%-20%", "百分之十到百分之二十"),
    ("10-20%", "百分之十到二十"),
    ("20°C", "二十摄氏度"),
    ("-5°C", "零下五摄氏度"),
    ("20℃", "二十摄氏度"),
    ("5 km", "五公里"),
    ("3kg", "三公斤"),
    ("250 ml", "二百五十毫升"),
    ("60 km/h", "每小时六十公里"),
    ("2 GB", "两GB"),
    ("10 m²", "十平方米"),
    # telephone numbers, addresses
    ("13812345678", "幺三八幺二三四五六七八"),
    ("010-12345678", "零幺零，幺二三四五六七八"),
    ("拨打110", "拨打幺幺零"),
    ("192.168.1.1", "一九二点一六八点一点一"),
    ("https://www.example.com/x", "example 点 com 斜杠 x"),
    ("a@b.com", "a 艾特 b 点 com"),
    # markup and symbols
    ("**粗体**文字", "粗体文字"),
    ("# 标题\n内容", "标题。内容"),
    ("- 苹果\n- 梨", "苹果。梨"),
    ("1. 苹果\n2. 梨", "一，苹果。二，梨"),
    ("[链接](http://a.b)", "链接"),
    ("```\n代码\n```\n好。", "好。"),
    ("你好😀！", "你好！"),
    ("1+1=2", "一加一等于二"),
    ("5×3", "五乘以三"),
    ("10 - 3", "十减三"),
    ("2^10", "二的十次方"),
    ("例如e.g.苹果", "例如例如苹果"),
    ("你好，世界。", "你好，世界。"),
]


@pytest.mark.parametrize(("written", "said"), ENGLISH)
def test_english_is_said_as_people_say_it(written: str, said: str) -> None:
    assert speakable(written, "en") == said


@pytest.mark.parametrize(("written", "said"), CHINESE)
def test_chinese_is_said_as_people_say_it(written: str, said: str) -> None:
    assert speakable(written, "zh") == said


def test_an_answer_is_said_piece_by_piece() -> None:
    answer = (
        "## Pasta 🍝\n\nFor **2 people**, boil 200 g in 2 l of water, e.g. for 8-10 min. Dr. Oetker agrees!\n\n"
        "1. Add 1/2 tsp salt.\n2. Wait until 7:30 pm.\n\n```sh\nmake pasta\n```\nSee [this](https://a.b)."
    )
    splitter = SentenceSplitter()
    pieces = [*splitter.push(answer), *splitter.finish()]
    assert [said for piece in pieces if (said := speakable(piece, "en-US"))] == [
        "Pasta",
        "For two people, boil two hundred grams in two liters of water, for example for eight to ten minutes.",
        "Doctor Oetker agrees!",
        "one, Add one half teaspoon salt.",
        "two, Wait until seven thirty p.m.",
        "See this.",
    ]


def test_other_languages_lose_their_markup_only() -> None:
    assert speakable("**Hallo**, 3 [Leute](http://a.b)! 😀", "de") == "Hallo, 3 Leute!"
    assert speakable("25%", "zh-Hans-CN") == speakable("25%", "cmn") == "百分之二十五"
    assert speakable("25%", "en_GB") == "twenty-five percent"


@given(st.integers(0, 10**15 - 1))
def test_number_words_are_what_was_meant(number: int) -> None:
    words = english_numbers.cardinal(number)
    if number < 100_000:
        assert english_number(words.replace("-", " ")) == number
    if number < 10_000:
        assert chinese_number(chinese_numbers.cardinal(number)) == number
    assert speakable(f"{number:,}", "en") == words
    assert speakable(f"{number:,}", "zh") == chinese_numbers.cardinal(number)


SEEDS = [
    "1", "1,111", "1.", "1:", "1-", "1/", "a", "a.", "www.", "http://", "[", "](", "[](", "*", "_", "`",
    "<", "<a", "<!--", "&", "|", "$", "$1", "-", "1st", "@", "a@", "a@b.", "°", "，", "零", "一", "1个", "第1",
    "又", "1又", "%", "5%", "12:30", "12:", "+1", "x", "1x", "^", "2^", "etc.", "~", "...", "—", "é", "'",
    "1.1.1.", "电话", "½", "#", "a-", "**a", "a*", "a/", "0", "1e", "2020-", "1k", "(555)", "*a*", "![a](b)",
    "&#9", "１", "٣", "\n", " ", "```\n", "# ", "> ", "- ", "1. ", "1 ", "1 km", "1 - ", "May 1 ", "| a |",
    "call 1", "\x00", "\ud800",
]  # fmt: skip
TEXTS = st.one_of(st.text(max_size=400), st.lists(st.sampled_from(SEEDS), max_size=80).map("".join))


@given(TEXTS, st.sampled_from(["en", "zh", "de", "", "-"]))
def test_any_text_gives_one_line(text: str, language: str) -> None:
    said = speakable(text, language)
    assert "\n" not in said
    assert said == said.strip()
    if language in ("en", "zh"):
        assert not any(character.isdecimal() for character in said)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_time_grows_with_the_length_and_not_faster(language: str) -> None:
    """Ten times the text takes about ten times as long; a pattern that backtracks would take a hundred times."""

    def seconds(characters: int, seed: str) -> float:
        text = (seed * characters)[:characters]
        started = time.process_time()
        speakable(text, language)
        return time.process_time() - started

    for seed in SEEDS:
        short = max(seconds(2_000, seed), 0.002)
        slow_down = min(seconds(20_000, seed) / max(short, seconds(2_000, seed)) for _ in range(2))
        assert slow_down < 50, seed


def test_hostile_input_is_survived() -> None:
    text = "".join(SEEDS) * 600
    assert len(text) > 100_000
    for language in ("en", "zh"):
        assert speakable(text, language)
    assert speakable("&#" + "9" * 5000 + ";", "en")
    assert speakable("9" * 10_000, "en").startswith("nine nine")
    assert speakable("1." + "9" * 10_000, "zh").startswith("一点九九")
