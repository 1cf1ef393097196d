"""The optimiser takes the steps of torch's own, without torch's compiler."""

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch")

from skl_locus._torch.optimizer import AdamW  # noqa: E402


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_steps_are_those_of_torch_to_the_bit(dtype):
    generator = torch.Generator().manual_seed(0)

    def weights():
        generator.manual_seed(0)
        shapes = (5, 3), (7,), (2, 2)
        return [
            torch.randn(s, dtype=dtype, generator=generator).requires_grad_()
            for s in shapes
        ]

    own, theirs = weights(), weights()
    optimizer = AdamW(own, weight_decay=0.05)
    expected = torch.optim.AdamW(theirs, weight_decay=0.05, fused=True)
    for step in range(6):
        rate = 0.01 / (1 + step)
        # The last weights have no gradient at first, and keep their values then.
        used = len(own) - (step < 2)
        for some, minimizer in ((own, optimizer), (theirs, expected)):
            minimizer.zero_grad()
            sum((w**3).sum() + w.sum() for w in some[:used]).backward()
        optimizer.step(rate)
        expected.param_groups[0]["lr"] = rate
        expected.step()
        for a, b in zip(own, theirs, strict=True):
            assert torch.equal(a, b)


def test_a_fit_does_not_load_the_compiler():
    code = (
        "import sys\n"
        "from skl_locus import LocusRouter\n"
        "from skl_locus.datasets import make_evaluations\n"
        "log = make_evaluations(n_models=4, n_queries=20, random_state=0).evaluations\n"
        "LocusRouter(n_components=8, max_iter=2).fit(log, log['score'])\n"
        "assert 'torch' in sys.modules and 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
