"""A whole call, with an echo and by telephone, by real ears and a real detector: who spoke, and what was suggested."""

import pytest

from app import default_cache_dir
from models.base import Transcriber
from models.ears.beside import ModelWithEars
from models.scripted import ScriptedModel
from realtime.session import SessionOptions
from realtime.turns.end_of_turn import EndOfTurn
from realtime.turns.endpointing import EndOfTurnScorer
from realtime.turns.smart_turn import SmartTurn, find_smart_turn
from tests.judged_calls import judge, listen_to
from tests.two_party import VOICES, Line, Speak, make_call, write_call


@pytest.mark.parametrize("line", [Line(echo_db=-20), Line(echo_db=-10, back_db=-20, by_telephone=True)])
async def test_each_turn_is_its_partys_and_questions_alone_have_suggestions(
    line: Line, speak: Speak, real_ears: Transcriber, scorer: EndOfTurnScorer
) -> None:
    call = await make_call(write_call(27, n_questions=3, n_tellings=3), speak, VOICES[0], line)
    model = ModelWithEars(ScriptedModel([["You ", "can ", "say ", "this."]]), real_ears)
    heard = await listen_to(call, model, SessionOptions(), scorer, realtime=False)
    verdict = judge(call, heard)
    assert verdict.right_turns == verdict.turns
    assert verdict.strange == 0
    assert verdict.helped == verdict.questions == 3
    assert verdict.needless == 0


@pytest.fixture(scope="module")
def scorer() -> EndOfTurnScorer:
    return EndOfTurn(SmartTurn(find_smart_turn(default_cache_dir())))
