"""Sentences of ours that `train_address.py` learns from: what people say to an assistant, and to each other beside it.

The texts of corpora lack both: queries of banks and calendars are no small talk, meetings no kitchen. None of these
sentences is among those that `bench_address.py` tests with.
"""

TO_THE_ASSISTANT = """
Stop.
Never mind.
Thanks.
Thank you very much.
Hello, can you hear me?
Hi there.
Good evening.
Go on.
Tell me more about that.
Why is that?
And in winter?
And what about Paris?
What about the second one?
How do you know that?
Are you sure?
Say that again, please.
Could you repeat that?
Speak a bit slower.
Louder.
In one sentence.
Yes, please.
No, the other one.
No, I meant the river, not the town.
What did I just ask you?
What can you do?
Who are you?
Do you speak German?
I have a headache. What should I do?
I'm bored. Tell me a joke.
My name is Peter. What's yours?
My daughter is six. What could I read to her?
I can't sleep. Do you know a story?
I've got two eggs and some flour. What can I cook?
So, what's seven times eight?
Okay, and how far away is the moon?
Um, what was the name of that actor in Titanic?
Well, explain it as if I were five.
Can you give me an example?
How do I get a red wine stain out of a carpet?
Translate good morning into Italian.
Spell necessary.
Count from one to ten.
Let's play a game.
Let's talk about history.
I want to know how a fridge works.
I'd like to learn some Spanish.
I need a name for my cat.
Should I take an umbrella today?
Is it raining outside?
Which is bigger, a whale or an elephant?
Please write a short poem about autumn.
Wake me at seven.
Remind me to water the plants.
Computer, lights off.
Assistant, what day is it?
Earpiece, are you there?
Hey computer, what is the tallest building in the world?
What do you think of jazz?
How are you today?
That's wrong. Try again.
Give me three ideas for dinner.
How many grams are in an ounce?
What's the difference between a crocodile and an alligator?
Sorry, I didn't understand. What does that mean?
Summarise what I told you.
Is that more than in France?
When was that?
Who was his wife?
How old is she now?
What happened to them after the war?
How long did it take them?
Did he write anything else?
Where did they come from?
How tall were they?
Can I eat it raw?
Wait, how much was that in pounds?
I think it's blue. Am I right?
I'd say Rome. Is that correct?
Paris.
Next question.
"""

TO_SOMEBODY_ELSE = """
Did you remember to lock the back door?
Have you seen my glasses? They were on the table this morning.
Yeah, she told me about it yesterday.
I don't think he's going to come tonight.
We should leave at six, otherwise we'll miss the train.
Mum, where are my shoes?
Anna, dinner's ready.
Tom, could you pass me the salt?
Come here, sweetheart, let me tie that for you.
No, no, put it down, it's hot.
Are you coming or not?
He said he'd call back, but he never did.
Did your sister get the job?
What are you two doing in there?
Well, I told her that we couldn't do it before Friday.
Hello? Yes, speaking. No, that's fine, Thursday works for me.
Okay, I'll see you then. Bye. Bye bye.
Hi, Dad, it's me. No, we're still in the car.
Sorry, I'm on the phone with the insurance.
Can you hold on a second? There's somebody at the door.
And then he just walked out, can you believe it?
You never listen to me when I talk about work.
You look tired. Did you sleep badly?
Kids, shoes off, please.
Guys, we need to go now.
Honey, did you feed the dog?
I love that shirt, where did you get it?
Oh, that's nice. When are they getting married?
So what did the doctor say?
What do you want for dinner? We've still got some of that soup.
It was so crowded, we had to stand all the way.
Yeah, I know, they always do that.
That's what I said to him, but he wouldn't listen.
I mean, it's not like we didn't try.
Right, so you take the first part and I'll do the rest.
Maybe we could ask Sarah, she knows more about it.
Did they fix the boiler at your place?
How was your day? You're late.
My back is killing me since we moved that sofa.
Do you think we can afford it?
Leave your brother alone.
Good evening, and welcome to the news at ten.
The prime minister said today that the talks had been constructive.
Back to you in the studio, Michael.
Coming up after the break, our reporter speaks to the families.
And it's a goal! What a strike from the captain!
Temperatures will reach eighteen degrees in the south, with showers spreading from the west.
Call now and get two for the price of one.
Our guest tonight has written a book about her years in the Arctic.
Police are looking for a man who was seen near the station on Tuesday night.
The company reported profits of three million, and shares rose by two percent.
That was the new single, and you're listening to the breakfast show.
He turned around slowly and looked at her as if he had seen a ghost.
"I won't go," she said, and closed the door behind her.
In those days the village had no road, and letters came twice a month.
Researchers have found that the birds return to the same nests every year.
You've been listening to a programme about the history of tea.
Don't touch that dial, we'll be right back.
Who do you think you are? Get out of my house!
Where were you last night? I waited for hours.
I can't do this any more, John.
We've got to get out of here before they find us.
Yeah.
Mm-hm. Mm-hm.
Right. Okay.
No, not yet.
Oh, really?
I guess so.
See you tomorrow.
Thanks, love.
Just put it over there.
That one's yours, the other one is mine.
Should we invite them too?
Are we out of milk again?
He's such a good boy, aren't you? Yes, you are.
Do they know that you're moving?
Shall I pick you up or will you take the bus?
I'll be back in ten minutes, don't wait for me.
"""


def sentences(text: str) -> list[str]:
    """One a line."""
    return text.strip().splitlines()
