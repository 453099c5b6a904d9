"""A vLLM on each of several nodes behind one address, by Ray Serve: `serve run deploy.ray_llm:app` on a Ray cluster.

Earpiece asks that address: `python app.py --engine http://head-node:8000`. Ray's router, no longer Earpiece, chooses
the replica, so it is the router that must send a dialogue where its beginning is cached. Read `engines.md` first.
"""

from ray.serve.config import RequestRouterConfig
from ray.serve.llm import LLMConfig, build_openai_app

MODEL = LLMConfig(
    model_loading_config={"model_id": "qwen2-audio", "model_source": "Qwen/Qwen2-Audio-7B-Instruct"},
    accelerator_type="H100",
    deployment_config={
        "autoscaling_config": {"min_replicas": 2, "max_replicas": 8, "target_ongoing_requests": 16},
        "request_router_config": RequestRouterConfig(
            request_router_class="ray.serve.llm.request_router.PrefixCacheAffinityRouter"
        ),
    },
    engine_kwargs={
        "max_model_len": 8192,
        "gpu_memory_utilization": 0.9,
        "enable_prefix_caching": True,
        "tensor_parallel_size": 1,
    },
)
app = build_openai_app({"llm_configs": [MODEL]})
