"""Audio language models, one file a family; start reading at `audio_llm.py`, then `qwen2_audio.py`."""
