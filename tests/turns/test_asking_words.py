"""Which words ask something that is to be answered in a call."""

import pytest

from realtime.turns.request import asks_something

ASKS = """
What does the premium plan cost?
How long have you worked with Python?
Can you tell me a bit about yourself?
Could you send me the contract by Friday?
Why did you leave your last job?
Where do you see yourself in five years?
So, when can you start?
Do you have any experience with Kubernetes?
And what about the delivery date?
How about next Tuesday at ten?
Tell me about a time when you failed.
Walk me through your last project.
Describe your biggest weakness.
I'd like to know how you handle refunds.
I was wondering whether you offer discounts.
I wonder if there is a cheaper option.
What is the warranty on this model? Just roughly.
Is there a setup fee?
Are you able to ship to Canada?
Would you mind explaining that again?
Please explain how the billing works.
Okay, and how do I cancel it?
Who will be our contact person?
Which version do you recommend?
Does it work with our existing system?
Have you spoken with the legal team yet?
Give me one good reason to switch.
We have about fifty users. What would that cost us?
Our budget is tight this year, so can you do anything about the price?
Any thoughts on the timeline?
I need you to confirm the address.
Could we move the meeting to three o'clock?
How do you deal with difficult customers
What happens if I miss a payment?
Should we include the second module as well?
Did the package arrive?
What's your return policy?
Right, and who is responsible for the migration?
I'd love to hear how the team is set up.
Suppose the server goes down. What do you do?
Will it be ready before Christmas?
Can I pay by invoice?
Do you know what the deadline is?
If you could spell your last name for me.
You said it takes two weeks, is that with weekends?
What would you do differently next time?
How much notice do you need?
Could you repeat the last number, please?
Help me understand why the price went up.
So the total is four hundred?
Are there any hidden costs?
Convince me that we need this.
What's the difference between the two?
Why should we choose you over your competitors?
When would the technician come?
Is Thursday any good for you?
Does that include taxes? Because last time it didn't.
Name three things you would change.
Summarize that for me, please.
What do you think?
"""

ASKS_NOTHING = """
We are a small company with about fifty people.
I sent you the documents last week.
Okay, that sounds good to me.
Thanks, that is very helpful.
Let me just pull up your account.
I'll send you the details by email.
He asked me when the project would be finished.
They wanted to know how much it costs, so I told them.
You know what I mean?
That's great, right?
Mm-hm.
Yeah, exactly.
I see.
Well, the thing is, we already have a supplier.
When I was at my last job, we used a different tool.
What I like about it is the design.
How we do it is not important.
I can show you the numbers later.
We will walk you through the process on Monday.
I don't know yet.
I think that was a misunderstanding.
My name is Laura Bennett, I'm calling from the support team.
Good morning, this is Tom from accounting.
No problem at all, take your time.
Sorry, there was some noise on the line.
The invoice number is four seven two nine.
So we decided to go with the blue one.
It broke twice last month, which was annoying.
Let's move on to the next point.
I'm happy with that.
Our team is spread over three countries.
Right, right.
Sure, go ahead.
I was just about to say the same.
We had a lot of trouble with that version.
Actually, I think we are done here.
That is what I wanted to hear.
The meeting was moved to Thursday.
I told you that it would be expensive.
Somebody told me that you have offices in Berlin.
And then the screen went black.
Oh, I didn't know that.
Really?
Who knows.
It takes about ten minutes.
We usually pay at the end of the month.
I'll call you back tomorrow.
First I will show you the dashboard.
Nice to meet you, too.
Everything works fine now.
The second option is cheaper, but slower.
I have been with the company for eight years.
That reminds me of the old building.
We could have done better.
Have a nice day.
Bye, talk to you soon.
People often ask what the difference is, and it is small.
It is what it is.
You were right about the price.
Perfect.
"""

# Written before the rules were looked at again; none of them was made to fit.
HELD_OUT_ASKS = """
What kind of support do we get?
Could you briefly introduce your company?
And how many licenses does that cover?
Is it possible to upgrade later?
Tell us how you would approach this.
When did the problem start?
Have you tried turning it off and on again?
I would like to understand the refund process.
Can we get a discount for two years?
What languages do you speak?
Are you comfortable with managing people?
So you have never used it before?
Who else is on the call?
May I ask why you are leaving?
Please give me your customer number.
Do we need to sign anything today?
"""
HELD_OUT_NOTHING = """
I am looking at the screen right now.
We talked to three other vendors.
Your colleague was very friendly.
It is not about the money.
I asked for a refund two weeks ago.
My manager wants to see some numbers first.
That would be lovely.
I can't open the attachment.
So far everything went well.
In the end we kept the old system.
Okay, I understand.
I have three children and a dog.
The battery lasts for about two days.
Then I moved to the sales department.
You did a great job with the report.
We are open from nine to five.
"""


def _lines(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.mark.parametrize("text", _lines(ASKS))
def test_questions_and_requests_ask(text: str) -> None:
    assert asks_something(text)


@pytest.mark.parametrize("text", _lines(ASKS_NOTHING))
def test_what_only_tells_asks_nothing(text: str) -> None:
    assert not asks_something(text)


def test_held_out_sentences_are_mostly_told_apart() -> None:
    missed = [text for text in _lines(HELD_OUT_ASKS) if not asks_something(text)]
    wrong = [text for text in _lines(HELD_OUT_NOTHING) if asks_something(text)]
    assert len(missed) <= 1, missed
    assert len(wrong) <= 1, wrong


@pytest.mark.parametrize("text", ["", " ", "...", "?", "?!", "\u00e4?"])
def test_any_text_is_judged(text: str) -> None:
    asks_something(text)


def test_a_question_before_a_long_remark_is_answered_by_whoever_asked() -> None:
    assert not asks_something("What did we do? We called all of them, one after the other, and asked for a new price.")
