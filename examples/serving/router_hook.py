"""Hook of the LiteLLM proxy that sends each request to the best healthy model.

``litellm_config.yaml``, beside this file, names it. The hook loads the router again
when its file changes.
"""

import os

from skl_locus.integrations.litellm import RouterHook

hook = RouterHook(os.environ.get("SKL_LOCUS_ROUTER", "router.locus"))
